"""Logging in with the token, and out."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.web import auth


def register(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/login", view_func=login, methods=["GET", "POST"])
    blueprint.add_url_rule("/logout", view_func=logout, methods=["POST"])


def login() -> ResponseReturnValue:
    """The form for the token; once that is right, on to the page that was asked for."""
    wanted = auth.local_path(request.args.get("next", "/"))
    if not auth.login_needed():
        return redirect(wanted)
    if request.method == "POST":
        if auth.log_in(request.form.get("token", "")):
            return redirect(wanted)
        return render_template("login.html", wrong=True), 401
    return render_template("login.html", wrong=False)


def logout() -> ResponseReturnValue:
    """End the login."""
    auth.log_out()
    return redirect(url_for("pages.login"))
