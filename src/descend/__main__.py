"""`python -m descend`."""

from descend.cli.main import main

if __name__ == "__main__":
    main()
