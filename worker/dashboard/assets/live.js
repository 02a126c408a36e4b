"use strict";
// Keeps the page current: the server says by events that something changed, the page fetches itself again, and the parts
// marked data-live are exchanged. Without this script every page is complete and still.
(() => {
  const root = document.documentElement;
  const watch = document.body.dataset.watch;

  // Times in the reader's own zone, and the running time of what runs.
  const clock = new Intl.DateTimeFormat(root.lang, { dateStyle: "short", timeStyle: "medium" });
  const ago = new Intl.RelativeTimeFormat(root.lang, { numeric: "auto", style: "short" });
  const relative = (at) => {
    const seconds = Math.round((at - Date.now()) / 1000);
    for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
      if (Math.abs(seconds) >= size) return ago.format(Math.trunc(seconds / size), unit);
    }
    return ago.format(seconds, "second");
  };
  const span = (ms) => {
    const s = Math.max(0, ms) / 1000;
    if (s < 60) return `${s.toFixed(1)}s`;
    if (s < 3600) return `${Math.floor(s / 60)}m${Math.floor(s % 60)}s`;
    return `${Math.floor(s / 3600)}h${Math.floor((s % 3600) / 60)}m`;
  };
  const tick = () => {
    for (const el of document.querySelectorAll("time[datetime]")) {
      const at = Date.parse(el.dateTime);
      el.textContent = relative(at);
      el.title = clock.format(at);
    }
    for (const el of document.querySelectorAll("[data-since]")) el.textContent = span(Date.now() - Date.parse(el.dataset.since));
  };
  tick();
  setInterval(tick, 1000);

  // The theme: the system's until the reader chooses.
  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const dark = getComputedStyle(root).colorScheme === "dark" ||
      (root.dataset.theme === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("portico-theme", root.dataset.theme); } catch { /* then it lasts for this page */ }
  });

  if (!watch || !("EventSource" in window)) return;

  let due = null, busy = false, again = false, stale = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (answer.ok) exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* the stream tells that the connection is gone */ }
    busy = false;
    if (again) { again = false; schedule(); }
  };
  const schedule = () => {
    if (document.hidden) { stale = true; return; }
    if (due === null) due = setTimeout(() => { due = null; refresh(); }, 250);
  };
  const exchange = (fresh) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (!next || part.dataset.raw === next.innerHTML) continue;
      const first = part.dataset.raw === undefined;
      part.dataset.raw = next.innerHTML;
      const states = new Map();
      for (const row of part.querySelectorAll("[data-key]")) states.set(row.dataset.key, row.querySelector(".state, .status")?.textContent);
      const open = [...part.querySelectorAll("details")].map((d) => d.open);
      const focus = part.contains(document.activeElement) ? document.activeElement : null;
      const focusAt = focus ? [...part.querySelectorAll("a,button,summary,pre")].indexOf(focus) : -1;
      part.replaceChildren(...[...next.childNodes].map((n) => document.adoptNode(n)));
      part.querySelectorAll("details").forEach((d, i) => { if (i < open.length) d.open = open[i]; });
      if (focusAt >= 0) part.querySelectorAll("a,button,summary,pre")[focusAt]?.focus({ preventScroll: true });
      if (first) continue;
      for (const row of part.querySelectorAll("[data-key]")) {
        if (states.get(row.dataset.key) !== row.querySelector(".state, .status")?.textContent) row.classList.add("changed");
      }
    }
    tick();
  };
  const concerns = (change) => {
    if (change.more) return true;
    if (watch.startsWith("task:")) return (change.tasks || []).some((t) => t.uuid === watch.slice(5));
    if (watch === "workers") return Boolean(change.workers || change.counts);
    return Boolean(change.tasks || change.counts);
  };

  const sign = document.getElementById("live");
  const show = (on) => {
    sign.hidden = false;
    sign.classList.toggle("off", !on);
    sign.querySelector(".live-text").textContent = on ? sign.dataset.labelOn : sign.dataset.labelOff;
  };
  let stream = null;
  const open = () => {
    stream = new EventSource(document.body.dataset.events);
    stream.addEventListener("hello", () => show(true));
    stream.addEventListener("change", (event) => { if (concerns(JSON.parse(event.data))) schedule(); });
    stream.addEventListener("error", () => {
      show(false);
      if (stream.readyState === EventSource.CLOSED) setTimeout(open, 5000);
    });
  };
  open();
  document.addEventListener("visibilitychange", () => { if (!document.hidden && stale) { stale = false; schedule(); } });
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) { open(); schedule(); } });
})();
