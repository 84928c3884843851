"""The command `gpudock`, also `python -m app`."""

from app import cli, create_app

main = cli.build_group(create_app)

if __name__ == "__main__":
    main(prog_name="gpudock")
