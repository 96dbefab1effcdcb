// Figures that grow: the page names them once, and from then on this asks the server for what is new, without a rerun.
// Of each figure the server is told the whole that is here, and sends only what was added to that.
import { chart } from "./live_chart.js";

const put = (whole, added) => {
  const figure = structuredClone(whole);
  added.forEach(([from, x, y], i) => {
    figure.data[i].x.splice(from, Infinity, ...x);
    figure.data[i].y.splice(from, Infinity, ...y);
  });
  return figure;
};

async function ask(host) {
  const { source, library } = host.wanted;
  const has = [...host.charts].map((each) => each.name ?? "").join(",");
  const answer = await fetch(new URL(`${source}&has=${has}`, document.baseURI)).catch(() => null);
  if (!answer?.ok || source !== host.wanted.source) return; // the server is gone for now, or something else is wanted
  const { head, figures } = await answer.json();
  host.head.innerHTML = head; // HTML of the lab, in which names are escaped
  figures.forEach(({ whole, name, height, added }, i) => {
    const place = host.charts[i];
    if (whole) [place.whole, place.name] = [JSON.parse(whole), name];
    place.style.height = `${height}px`;
    chart(place, put(place.whole, added), library);
  });
}

export default function ({ data, parentElement }) {
  const host = parentElement.querySelector(".live-curves");
  if (!host.head) {
    host.innerHTML = '<div class="head"></div><div class="charts"></div>';
    [host.head, host.charts] = [host.firstChild, host.lastChild.children];
  }
  while (host.charts.length < data.figures) host.lastChild.append(document.createElement("div"));
  [...host.charts].forEach((each) => each.classList.add("live-chart"));
  host.wanted = data;
  ask(host);
  clearInterval(host.timer);
  if (data.every) host.timer = setInterval(() => document.hidden || ask(host), 1000 * data.every);
  return () => clearInterval(host.timer); // the page is left
}
