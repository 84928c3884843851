// The output of a container: kept up to date and scrolled to its end while it is followed and looked at.
"use strict";

(() => {
  const lines = document.getElementById("log-lines");
  const follow = document.getElementById("follow");
  if (!lines) return;
  let tag = null;

  const mine = (event) => event.target === lines;

  function toTheEnd() {
    lines.scrollTop = lines.scrollHeight;
  }

  document.getElementById("follow-choice").hidden = false;
  toTheEnd();
  follow.addEventListener("change", () => follow.checked && toTheEnd());
  // Whoever scrolls up wants to read: nothing moves until the end is looked at again.
  lines.addEventListener("scroll", () => {
    follow.checked = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 20;
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (mine(event) && (document.hidden || !follow.checked || lines.closest("[inert]"))) event.preventDefault();
  });
  document.addEventListener("htmx:configRequest", (event) => {
    if (mine(event) && tag) event.detail.headers["If-None-Match"] = tag;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!mine(event)) return;
    const { xhr } = event.detail;
    if (xhr.status === 200 && !xhr.getResponseHeader("ETag")) event.detail.shouldSwap = false; // a login, not the log
    else if (xhr.status === 200) tag = xhr.getResponseHeader("ETag");
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (mine(event) && follow.checked) toTheEnd();
  });
})();
