"""Start the proxy: `python runserver.py ARGS` is `aprp serve ARGS`."""

import sys

from aprp.cli import serve

if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:], prog="python runserver.py"))
