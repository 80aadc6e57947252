// Refreshes the console in place. Without it the page works the same and is refreshed by hand.
"use strict";
(() => {
  const EVERY_MS = 5000;
  const parts = ["header.top", "main", "footer.foot"];

  const openDetails = (root) =>
    new Set(Array.from(root.querySelectorAll("details[open][id]"), (details) => details.id));

  async function refresh() {
    // Nothing moves while nobody looks, or while somebody marks text to copy it or fills in a form.
    const selection = document.getSelection();
    if (document.hidden || (selection && !selection.isCollapsed)) return;
    if (document.activeElement && document.activeElement.closest("form")) return;
    const response = await fetch(location.href, {
      headers: { Accept: "text/html" }, redirect: "manual", cache: "no-store",
      signal: AbortSignal.timeout(EVERY_MS * 2),
    });
    if (response.type === "opaqueredirect") return location.reload();
    if (!response.ok) throw new Error(`status ${response.status}`);
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const open = openDetails(document);
    for (const part of parts) {
      const [before, after] = [document.querySelector(part), fresh.querySelector(part)];
      if (before && after) before.replaceWith(document.adoptNode(after));
    }
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    document.title = fresh.title;
  }

  async function loop() {
    try {
      await refresh();
      document.body.classList.remove("is-stale");
    } catch {
      document.body.classList.add("is-stale");
    }
    setTimeout(loop, EVERY_MS);
  }

  setTimeout(loop, EVERY_MS);
})();
