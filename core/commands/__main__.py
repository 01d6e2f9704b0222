import sys

from core.commands.main import main

sys.exit(main())
