"""`completion`: the script that lets a shell complete verbs, options and workspaces."""

import click
from click.shell_completion import BashComplete, get_completion_class

_PROGRAM = "workspace-lifecycle"
_CLICKS, _OURS = "COMP_CWORD=$COMP_CWORD", "COMP_CWORD=$COMP_CWORD COMP_TYPE=$COMP_TYPE"
"""bash shows what it would insert, and an id tells nobody whose it is. Where it only lists, which
COMP_TYPE says, there can be a name beside each."""


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
    script = found(context.find_root().command, {}, _PROGRAM, variable).source()
    if issubclass(found, BashComplete):
        script = script.replace(_CLICKS, _OURS).replace("+=($value)", '+=("$value")')
    click.echo(script)
