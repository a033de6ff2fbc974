"""`python -m expctl`, also under accelerate launch and torchrun."""

from expctl.cli.main import main

if __name__ == "__main__":
    main()
