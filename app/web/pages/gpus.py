"""The GPUs: the list, each one with its last hour, and the buttons that take one out of service and return it."""

from flask import jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from app.gpus.queries import GpuView
from app.web.pages import polling
from app.web.pages.blueprint import blueprint
from app.web.pages.form_values import act
from app.web.pages.localize import localize
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.request_scope import services

_MIB = 1 << 20


@blueprint.route("/gpus")
def gpus() -> Response:
    """The GPUs with every reading."""
    data = PageData()
    data.load_gpus()
    return polling.page("gpus.html", data=data)


@blueprint.route("/gpus/<uuid>")
def gpu(uuid: str) -> Response:
    """One GPU: its state, its readings of the last hour, and who had it."""
    data = PageData()
    view = data.load_gpu(uuid)
    holders = data.fetch(("holders", uuid), lambda: services().gpu.history.of(uuid))
    return polling.page("gpu.html", data=data, view=view, uuid=uuid, holders=holders)


@blueprint.route("/gpus/<uuid>/readings")
def readings(uuid: str) -> Response:
    """Answer with the readings of a GPU in the last hour, after the time `since`: for the charts. Memory in MiB."""
    series = services().gpu.sampler.series(uuid, request.args.get("since", 0, type=int))
    memory = [None if value is None else value // _MIB for value in series.memory]
    return jsonify({**vars(series), "memory": memory, "every": services().gpu.sampler.every})


@blueprint.route("/gpus/<uuid>/drain", methods=["POST"])
def drain_gpu(uuid: str) -> ResponseReturnValue:
    """Have a GPU given out no more, and go back."""
    return act(lambda: _drained(services().gpus.schedule(uuid, False)[0]))


@blueprint.route("/gpus/<uuid>/return", methods=["POST"])
def return_gpu(uuid: str) -> ResponseReturnValue:
    """Have a GPU given out again, and go back."""
    return act(lambda: _returned(services().gpus.schedule(uuid, True)[0]))


def _drained(view: GpuView) -> str:
    index = view.gpu.index
    if view.holder is None:
        return _("GPU %(index)s is out of service", index=index)
    holder = view.holder.family
    return _("GPU %(index)s is out of service; %(holder)s keeps it until it is changed", index=index, holder=holder)


def _returned(view: GpuView) -> str:
    index = view.gpu.index
    if view.gpu.fault is None:
        return _("GPU %(index)s is in service again", index=index)
    fault = localize(view.gpu.fault)
    return _("GPU %(index)s is in service again, but not given out while it is so: %(fault)s", index=index, fault=fault)
