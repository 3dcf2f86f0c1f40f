"""``python -m cainet_mm`` is the command ``cainet``."""

from cainet_cli import main

if __name__ == '__main__':
    main()
