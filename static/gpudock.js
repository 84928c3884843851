// Makes the pages better where there is JavaScript: their live part keeps itself up to date while it is looked at.
"use strict";

(() => {
  const stale = document.getElementById("stale");
  const age = document.getElementById("stale-age");
  let heard = Date.now();

  const live = (event) => event.target.id === "live";

  function tellAge() {
    if (!stale.hidden) age.textContent = Math.round((Date.now() - heard) / 1000);
  }

  function fresh() {
    heard = Date.now();
    stale.hidden = true;
  }

  function failed() {
    stale.hidden = false;
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
  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.addEventListener(name, (event) => {
      if (live(event)) failed();
    });
  }

  // What the reader has opened stays open.
  Idiomorph.defaults.ignoreActiveValue = true;
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.matches("details, dialog"));

  setInterval(tellAge, 1000);
})();
