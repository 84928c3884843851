// Makes the pages better where there is JavaScript: their live part keeps itself up to date while it is looked at.
"use strict";

(() => {
  const stale = document.getElementById("stale");
  const age = document.getElementById("stale-age");
  const gone = document.getElementById("gone"); // on the pages of single things only
  let heard = Date.now();

  const live = (event) => event.target.id === "live";

  function tellAge() {
    if (!stale.hidden) age.textContent = Math.round((Date.now() - heard) / 1000);
  }

  function fresh() {
    heard = Date.now();
    stale.hidden = true;
    tellGone(false);
  }

  // Nothing can be done with what is not there.
  function tellGone(is) {
    if (!gone) return;
    gone.hidden = !is;
    for (const part of document.querySelectorAll("#live, main > section")) part.inert = is;
  }

  // `id` is that of the request, if the server answered it, though with an error.
  function failed(id) {
    stale.hidden = false;
    document.getElementById("stale-silent").hidden = Boolean(id);
    document.getElementById("stale-failed").hidden = !id;
    document.getElementById("stale-request").textContent = id;
    tellAge();
  }

  // Nobody looks at a hidden tab; what is shown again is brought up to date at once.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (live(event) && document.hidden) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    const part = document.getElementById("live");
    if (part && !document.hidden) htmx.trigger(part, "refresh");
  });

  // The server answers 304 to one that has the part as it is: then nothing is touched.
  document.addEventListener("htmx:configRequest", (event) => {
    if (live(event)) event.detail.headers["If-None-Match"] = event.target.dataset.etag;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!live(event)) return;
    const { xhr, pathInfo } = event.detail;
    if (new URL(xhr.responseURL).pathname !== new URL(pathInfo.requestPath, location).pathname) {
      event.detail.shouldSwap = false; // the login has ended
      location.reload();
    } else if (xhr.status === 200) {
      event.target.dataset.etag = xhr.getResponseHeader("ETag");
    }
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (live(event) && event.detail.successful) fresh();
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      if (live(event)) failed("");
    });
  }
  document.addEventListener("htmx:responseError", (event) => {
    if (!live(event)) return;
    const { xhr } = event.detail;
    if (gone && xhr.status === 404) {
      fresh();
      tellGone(true);
    } else failed(xhr.getResponseHeader("X-Request-Id") || ""); // without an id it was a proxy that answered
  });

  // What the reader is typing stays.
  Idiomorph.defaults.ignoreActiveValue = true;

  setInterval(tellAge, 1000);
})();
