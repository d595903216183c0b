"""`python -m shelfmark.cli`, which is `shelfmark` where no console script is installed."""

from shelfmark.cli.main import main

main()
