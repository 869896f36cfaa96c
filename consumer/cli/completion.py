"""`completion`: the script that lets a shell complete verbs, options and workspaces."""

import click
from click.shell_completion import get_completion_class

_PROGRAM = "workspace-lifecycle"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion for SHELL: eval "$(workspace-lifecycle completion bash)".

    Workspaces are completed by id or name from LIFECYCLE_DATABASE_URL.
    """
    found = get_completion_class(shell)
    assert found is not None
    variable = f"_{_PROGRAM.upper().replace('-', '_')}_COMPLETE"
    click.echo(found(context.find_root().command, {}, _PROGRAM, variable).source())
