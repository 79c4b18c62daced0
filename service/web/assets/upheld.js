// Keeps a page true while it is open. Everything here is an extra: without it a reload does the same.
(() => {
  "use strict";
  const $ = (query, from = document) => from.querySelector(query);
  const $$ = (query, from = document) => [...from.querySelectorAll(query)];
  const SLOT = 10000, OLD = 60000, SILENCE = 45000;
  const pulse = $("#pulse"), words = $(".pulse-text"), said = $("#said");
  let etag = null, skew = 0, connected = null, heard = Date.now(), pending = null, typed = null, asking = false, again = false;

  // --- renewing <main>: elements are matched by id, then by place; what is equal is not touched
  const morph = (old, fresh) => {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return void old.replaceWith(fresh);
    if (old.nodeType !== 1) { if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue; return; }
    if (old.isEqualNode(fresh) || old.matches("form:focus-within, input")) return;
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) old.removeAttribute(name);
    }
    const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    let place = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      const same = next.id && known.get(next.id);
      if (same && same !== place) old.insertBefore(same, place), place = same;
      if (place && !same && (place.id || next.id) && place.id !== next.id) {
        old.insertBefore(next, place);
        if (next.classList) next.classList.add("fresh");
        continue;
      }
      if (!place) { old.append(next); continue; }
      const after = place.nextSibling;
      morph(place, next);
      place = after;
    }
    while (place) { const after = place.nextSibling; place.remove(); place = after; }
  };

  const show = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("main");
    const main = $("main");
    if (!fresh) return;
    const before = main.dataset.said;
    morph(main, fresh);
    document.title = `${main.dataset.title} · Upheld`;
    if (main.dataset.said && main.dataset.said !== before) said.textContent = main.dataset.said;
    sift();
    remembered();
  };

  const renew = async () => {
    if (asking) { again = true; return; }
    asking = true;
    const url = location.href;
    try {
      const headers = { "Upheld-Fragment": "main", Accept: "text/html" };
      if (etag) headers["If-None-Match"] = etag;
      const answer = await fetch(url, { headers, cache: "no-store" });
      const date = Date.parse(answer.headers.get("Date"));
      if (date) skew = Math.abs(date - Date.now()) > 2000 ? date - Date.now() : 0;
      if (answer.status === 200 && url === location.href) { etag = answer.headers.get("ETag"); show(await answer.text()); }
      connected = answer.ok || answer.status === 304;
      if (connected) heard = Date.now();
    } catch { connected = false; } finally {
      asking = false;
      tell();
      if (again) { again = false; renew(); }
    }
  };
  const soon = () => { pending ??= setTimeout(() => { pending = null; renew(); }, 200); };

  // --- how old the numbers are
  const ago = (ms) => {
    const s = Math.max(0, Math.round(ms / 1000)), m = Math.floor(s / 60), h = Math.floor(m / 60);
    return h ? `${h} h ${m % 60} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
  };
  const tell = () => {
    const at = Number($("main").dataset.asOf);
    const age = at ? Date.now() + skew - at : null;
    const old = age === null ? "" : ago(age);
    pulse.title = old && `The numbers are ${old} old.`;
    const lost = connected === false || Date.now() - heard > SILENCE;
    pulse.dataset.state = lost ? "lost" : age !== null && age > OLD ? "old" : connected ? "live" : "still";
    words.textContent = lost ? `Connection lost${old && " · " + old}` : age === null ? (connected ? "Live" : "") : age > OLD ? `Blind · ${old}` : `Live · ${old}`;
  };

  if ($("main[data-live]")) {
    let stream = null;
    const listen = () => {
      stream = new EventSource("/api/v1/stream");
      for (const kind of ["message", "verdict", "incident", "restatement", "tick", "reset"]) stream.addEventListener(kind, soon);
      stream.onopen = () => { connected = true; heard = Date.now(); tell(); };
      stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) { stream.close(); stream = null; setTimeout(() => stream ?? listen(), 5000); } };
    };
    listen();
    renew();
    setInterval(() => { if (!document.hidden) renew(); }, SLOT);
    setInterval(() => { if (!document.hidden) tell(); }, 1000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) renew(); });
    addEventListener("pagehide", () => stream && stream.close());
    addEventListener("pageshow", (event) => { if (event.persisted) { listen(); renew(); } });
  } else if ($("[data-retry]")) setTimeout(() => location.reload(), 6000);

  // --- filter as you type: what is here at once, what is folded away when the server has answered
  const box = () => $("#q");
  const sift = () => {
    const input = box();
    if (!input) return;
    const asked = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let any = false;
    for (const body of $$(".objectives tbody[id]")) {
      let shown = 0, head = null;
      const title = `${body.id.slice(2)} ${body.rows[0].textContent}`;
      for (const row of body.rows) {
        if (row.matches(".section")) continue;
        if (row.matches(".fold")) { row.hidden = asked.length > 0; continue; }
        if (row.matches(".head")) { head = row; head.hidden = asked.length > 0; continue; }
        const above = row.matches(".in") ? $("a", head).textContent : "";
        const text = `${title} ${above} ${row.dataset.service || ""} ${row.textContent}`.toLowerCase();
        row.hidden = !asked.every((word) => text.includes(word));
        if (!row.hidden) { shown++; if (above) head.hidden = false; }
      }
      body.hidden = shown === 0;
      any ||= shown > 0;
    }
    const nothing = $("#nothing");
    if (nothing) nothing.hidden = any;
  };
  const ask = () => {
    const address = new URL(location.href), text = box().value.trim();
    text ? address.searchParams.set("q", text) : address.searchParams.delete("q");
    history.replaceState(null, "", address);
    etag = null;
    renew();
  };
  document.addEventListener("input", (event) => {
    if (event.target.id !== "q") return;
    sift();
    clearTimeout(typed);
    typed = setTimeout(ask, 250);
  });

  // --- links that change this page only: folds and ranges
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-fold], a[data-swap]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    history.replaceState(null, "", link.href);
    etag = null;
    renew();
  });

  // --- keys
  const rows = () => $$(".c-name a, .inc-name[href]").filter((link) => link.offsetParent);
  const step = (by) => {
    const all = rows(), at = all.indexOf(document.activeElement);
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
    if (next) { next.focus({ preventScroll: true }); next.scrollIntoView({ block: "nearest" }); }
  };
  const KEYS = {
    "/": () => box()?.focus(), j: () => step(1), k: () => step(-1),
    o: () => { location.href = "/"; }, i: () => { location.href = "/incidents"; },
    "?": () => { const dialog = $("#keys"); dialog.open ? dialog.close() : dialog.showModal(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "Escape" && typing?.id === "q") { typing.value = ""; sift(); typing.blur(); ask(); return; }
    if (typing) return;
    const act = KEYS[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  // --- local time on hover
  document.addEventListener("mouseover", (event) => {
    const time = event.target.closest?.("time[datetime]");
    if (!time || time.dataset.told) return;
    time.dataset.told = "1";
    const local = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    time.title = `${time.title}\n${local}, local time`;
  });

  // --- reading a plot
  const numbers = (text) => (text || "").split(",").map((part) => (part === "" ? null : Number(part)));
  const utc = (ms, day) => new Date(ms).toLocaleString("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit", ...(day && { day: "numeric", month: "short" }) }).replace(",", "");
  const percent = (share, digits) => `${(Math.floor(share * 100 * 10 ** digits + 1e-9) / 10 ** digits).toFixed(digits)} %`;
  const point = (figure, place) => {
    const { from, step: length, span, total, bad, left } = figure.dataset;
    const count = Math.round(span / length), at = Math.min(count - 1, Math.max(0, place));
    const t = numbers(total)[at], b = numbers(bad)[at], l = numbers(left)[at], start = Number(from) + at * length;
    figure.dataset.at = at;
    figure.classList.add("reading");
    for (const line of $$(".cursor", figure)) for (const end of ["x1", "x2"]) line.setAttribute(end, `${((at + 0.5) / count) * 100}%`);
    const counted = t ? `${percent((t - b) / t, 3)} · ${b.toLocaleString("en")} not good of ${t.toLocaleString("en")}` : "nothing counted";
    const budget = l === null || left === "" ? "" : ` · budget ${(l * 100).toFixed(1).replace("-", "−")} %`;
    $(".readout-text", figure).textContent = `${utc(start, true)} – ${utc(start + Number(length))} UTC: ${counted}${budget}`;
  };
  const leave = (figure) => {
    $(".readout-text", figure).textContent = "";
    figure.classList.remove("reading");
  };
  document.addEventListener("pointermove", (event) => {
    const svg = event.target.closest?.(".plot"), figure = svg?.closest(".plots");
    if (!figure) return;
    const box = $(".base", svg).getBoundingClientRect(), { span, step: length } = figure.dataset;
    point(figure, Math.floor(((event.clientX - box.left) / box.width) * (span / length)));
  });
  document.addEventListener("pointerout", (event) => {
    const figure = event.target.closest?.(".plots");
    if (figure && !figure.contains(event.relatedTarget)) leave(figure);
  });
  document.addEventListener("keydown", (event) => {
    const figure = event.target.matches(".plots") && event.target, by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!figure || !by) return;
    event.preventDefault();
    point(figure, "at" in figure.dataset ? Number(figure.dataset.at) + by : Math.round(figure.dataset.span / figure.dataset.step) - 1);
  });

  // --- a token for acknowledging stays in this tab's session only
  const remembered = () => {
    const field = $("[data-remember]");
    if ($(".refusal")) sessionStorage.removeItem("upheld-token");
    if (field && !field.value) field.value = sessionStorage.getItem("upheld-token") || "";
  };
  document.addEventListener("submit", (event) => {
    const field = $("[data-remember]", event.target);
    if (field) sessionStorage.setItem("upheld-token", field.value);
  });
  remembered();
})();
