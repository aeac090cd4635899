"""`twinport user …`: accounts, directly in the database, so it works with and without a running server."""

import sys
from typing import Annotated

import typer

app = typer.Typer(help="Make, list and remove accounts, and set passwords.", no_args_is_help=True)

PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin, for scripts.")]


@app.command()
def create(
    *,
    username: Annotated[str | None, typer.Argument(help="The name to log in with.")] = None,
    role: Annotated[str | None, typer.Option(help="user or admin.")] = None,
    email: Annotated[str | None, typer.Option(help="An e-mail address, if wanted.")] = None,
    password_stdin: PasswordStdin = False,
) -> None:
    """Make an account."""
    from cli import terminal
    from cli.accounts import Accounts
    from cli.settings import read_settings

    if role not in {None, "user", "admin"}:
        terminal.fail(f"--role is user or admin, not {role!r}.", status=2)
    accounts = Accounts(read_settings())
    name = username or _ask("name", "Give the name: twinport user create NAME")
    role = role or _choose_role(is_first=not accounts.all())
    account = accounts.create(name, _new_password(from_stdin=password_stdin), role=role, email=email)
    terminal.out.print(f"Made the account {account.username} ({account.role}).", markup=False)


@app.command("list")
def list_users() -> None:
    """List the accounts."""
    from rich.table import Table

    from cli import terminal
    from cli.accounts import Accounts
    from cli.settings import read_settings

    accounts = Accounts(read_settings()).all()
    if not accounts:
        terminal.out.print(f"There are no accounts yet. Make one: {terminal.launcher()} user create", soft_wrap=True)
        return
    table = Table("id", "name", "role", "e-mail", "since", box=None, pad_edge=False)
    for account in accounts:
        role = f"{account.role} (disabled)" if account.disabled else account.role
        since = f"{account.created_at:%Y-%m-%d}"
        table.add_row(str(account.id), account.username, role, account.email or "", since)
    terminal.out.print(table)


@app.command()
def passwd(
    username: Annotated[str, typer.Argument(help="Whose password.")], *, password_stdin: PasswordStdin = False
) -> None:
    """Set a password; every login of that account ends."""
    from cli import terminal
    from cli.accounts import Accounts
    from cli.settings import read_settings

    accounts = Accounts(read_settings())
    accounts.must_exist(username)
    accounts.set_password(username, _new_password(from_stdin=password_stdin))
    terminal.out.print(f"Set the password of {username}; its logins have ended.", markup=False)


@app.command()
def delete(
    username: Annotated[str, typer.Argument(help="Which account.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an account with its API keys, conversations and documents."""
    from cli import terminal
    from cli.accounts import Accounts
    from cli.settings import read_settings

    accounts = Accounts(read_settings())
    accounts.must_exist(username)
    question = f"Delete the account {username} with its API keys, conversations and documents?"
    if not yes and not typer.confirm(question):
        terminal.fail("Nothing was deleted.")
    deleted = accounts.delete(username)
    terminal.out.print(
        f"Deleted the account {username} and {deleted.conversations} of its conversations.", markup=False
    )
    if deleted.documents_wait:
        terminal.err.print(
            "The tools API cannot be reached; documents of this account go as soon as both servers run.", soft_wrap=True
        )


def _choose_role(*, is_first: bool) -> str:
    """Offer to make the first account an admin; where nobody can be asked it is a user."""
    if is_first and sys.stdin.isatty():
        return "admin" if typer.confirm("This is the first account. Shall it be an admin?", default=True) else "user"
    return "user"


def _new_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        from cli import terminal

        terminal.fail("No terminal to ask for the password: give it with --password-stdin.", status=2)
    password: str = typer.prompt("password", hide_input=True, confirmation_prompt=True)
    return password


def _ask(what: str, otherwise: str) -> str:
    if not sys.stdin.isatty():
        from cli import terminal

        terminal.fail(otherwise, status=2)
    answer: str = typer.prompt(what)
    return answer
