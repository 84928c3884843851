"""Logging in with the token, and out."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.web import auth
from app.web.pages.blueprint import blueprint


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """The form for the token; once that is right, on to the page that was asked for."""
    target = auth.local_path(request.args.get("next", "/"))
    if not auth.login_needed():
        return redirect(target)
    if request.method == "POST":
        if auth.log_in(request.form.get("token", "")):
            return redirect(target)
        return render_template("login.html", wrong=True), 401
    return render_template("login.html", wrong=False)


@blueprint.route("/logout", methods=["POST"])
def logout() -> ResponseReturnValue:
    """End the login."""
    auth.log_out()
    return redirect(url_for("pages.login"))
