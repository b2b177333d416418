"""`python -m aprp` is the command `aprp`."""

import sys

from aprp.cli import main

sys.exit(main())
