"use strict";
// Values of a plot where one points, or steps through with the arrow keys. All positions come with the page.
document.documentElement.classList.add("scripted");
JSON.parse(document.getElementById("values").textContent).forEach((plot, place) => {
  const element = document.getElementById("plot" + place);
  const { stops, width, height } = plot;
  if (!stops.length) return;
  const guide = add("guide"), tip = add("tip");
  let at = null;

  // What steps through values and says each is a slider to a screen reader.
  element.tabIndex = 0;
  const said = { role: "slider", "aria-valuemin": 1, "aria-valuemax": stops.length, "aria-orientation": "horizontal" };
  for (const [name, value] of Object.entries(said)) element.setAttribute(name, value);
  say(0);
  hide();

  element.addEventListener("pointermove", (event) => show(nearest(event)));
  element.addEventListener("pointerdown", (event) => show(nearest(event)));
  element.addEventListener("pointerleave", () => { if (document.activeElement !== element) hide(); });
  element.addEventListener("focus", () => { if (element.matches(":focus-visible")) show(at ?? 0); });
  element.addEventListener("blur", hide);
  element.addEventListener("keydown", (event) => {
    const last = stops.length - 1, now = at ?? 0, far = Math.max(1, Math.round(stops.length / 10));
    const places = {
      ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1, PageUp: now + far,
      PageDown: now - far, Home: 0, End: last,
    };
    if (event.key === "Escape") return hide();
    if (!(event.key in places) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    show(Math.min(last, Math.max(0, places[event.key])));
  });

  function add(kind) {
    const made = document.createElement("div");
    made.className = kind;
    made.setAttribute("aria-hidden", "true");
    return element.appendChild(made);
  }

  function nearest(event) {
    const box = element.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * width, y = (event.clientY - box.top) / box.height * height;
    let best = 0, least = Infinity;
    stops.forEach(([left, top], one) => {
      const far = Math.hypot(left - x, top === null ? 0 : top - y);
      if (far < least) [best, least] = [one, far];
    });
    return best;
  }

  function say(one) {
    element.setAttribute("aria-valuenow", one + 1);
    element.setAttribute("aria-valuetext", stops[one][2].join("; "));
  }

  function show(one) {
    at = one;
    const [x, y, lines] = stops[one];
    say(one);
    tip.replaceChildren(...lines.map((line) => {
      const row = document.createElement("div");
      row.textContent = line;
      return row;
    }));
    guide.className = y === null ? "guide" : "guide spot";
    guide.style.left = x / width * 100 + "%";
    guide.style.top = (y ?? plot.top) / height * 100 + "%";
    guide.style.height = y === null ? (plot.bottom - plot.top) / height * 100 + "%" : "";
    guide.hidden = tip.hidden = false;
    const box = element.getBoundingClientRect(), left = x / width * box.width, room = box.width - tip.offsetWidth;
    tip.style.left = Math.max(0, Math.min(room, left > box.width / 2 ? left - tip.offsetWidth - 12 : left + 12)) + "px";
    // Above the place, or below it where there is no room: what it tells of stays in sight.
    const above = y / height * box.height - tip.offsetHeight - 14;
    tip.style.top = (y === null ? 4 : above >= 0 ? above : y / height * box.height + 14) + "px";
  }

  function hide() {
    guide.hidden = tip.hidden = true;
  }
});
