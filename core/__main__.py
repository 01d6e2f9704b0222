"""`python -m compresslab`: the command line, where its script is not on the PATH."""

import sys

from compresslab.commands.main import main

sys.exit(main())
