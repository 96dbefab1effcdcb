// A chart that stays: Plotly is loaded once, and each refresh goes to Plotly.react on the same element,
// so zoom, hover and hidden lines survive (st.plotly_chart is mounted anew whenever its data change).
const CONFIG = {
  responsive: true,
  displaylogo: false,
  displayModeBar: matchMedia("(hover: none)").matches ? false : "hover", // it would lie over the legend for good
  modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d"], // nothing here leaves the machine
};

// Where a thumb meets a chart, the page scrolls: plotly would zoom, so it learns of a single finger only what the browser
// makes of a tap (hover, click, double click). Two fingers zoom a flat chart, and turn one in space.
document.addEventListener("touchstart", (event) => {
  if (event.touches.length === 1 && event.target.closest?.(".js-plotly-plot")) event.stopPropagation();
}, { capture: true, passive: true });

const AXIS = /^[xy]axis\d*$/;

function pinchable(chart, Plotly) {
  let begun = null;
  const fingers = ([a, b]) => ({
    apart: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY),
    x: (a.clientX + b.clientX) / 2 - chart.getBoundingClientRect().left,
    y: (a.clientY + b.clientY) / 2 - chart.getBoundingClientRect().top,
  });
  const isFlat = () => chart._fullLayout?._has("cartesian");
  // How far along the axis they are, in parts of its length.
  const along = (axis, { x, y }) =>
    axis._id[0] === "x" ? (x - axis._offset) / axis._length : 1 - (y - axis._offset) / axis._length;
  chart.addEventListener("touchstart", (event) => {
    begun = null;
    if (event.touches.length !== 2 || !isFlat()) return;
    event.stopPropagation();
    const axes = Object.entries(chart._fullLayout).filter(([name]) => AXIS.test(name));
    begun = { ...fingers(event.touches), ranges: axes.map(([name, axis]) => [name, axis, ...axis.range.map(axis.r2l)]) };
  }, { capture: true, passive: true });
  chart.addEventListener("touchmove", (event) => {
    if (!begun || event.touches.length !== 2) return;
    event.preventDefault();
    const now = fingers(event.touches);
    const changes = begun.ranges.map(([name, axis, low, high]) => {
      const span = ((high - low) * begun.apart) / now.apart;
      const start = low + (high - low) * along(axis, begun) - span * along(axis, now); // what they hold stays under them
      return [`${name}.range`, [axis.l2r(start), axis.l2r(start + span)]];
    });
    Plotly.relayout(chart, Object.fromEntries(changes));
  }, { capture: true, passive: false });
}

const load = (url) => {
  window.resnetLabPlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("plotly.min.js could not be loaded"));
    document.head.append(script);
  });
  return window.resnetLabPlotly;
};

// Draws `figure` into `host`; of figures that come faster than they are drawn, the newest.
export function chart(host, figure, library) {
  host.pending = figure;
  load(new URL(library, document.baseURI)).then((Plotly) => {
    if (!host.pending || !host.isConnected) return;
    const { data, layout } = host.pending;
    host.pending = null;
    if (!host._fullLayout) pinchable(host, Plotly);
    Plotly.react(host, data, layout, CONFIG);
  });
}

export default function ({ data, parentElement }) {
  const host = parentElement.querySelector(".live-chart");
  host.style.height = `${data.height}px`;
  chart(host, JSON.parse(data.figure), data.library);
}
