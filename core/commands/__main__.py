import sys

from compresslab.commands.main import main

sys.exit(main())
