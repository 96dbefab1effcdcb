// A chart that stays: Plotly is loaded once, and each refresh goes to Plotly.react on the same element,
// so zoom, hover and hidden lines survive (st.plotly_chart is mounted anew whenever its data change).
const CONFIG = {
  responsive: true,
  displaylogo: false,
  modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d"], // nothing here leaves the machine
};

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

// Of a figure that grows, `whole` is sent until the browser says that it has it; then only what was `added` to it.
const figureOf = (whole, added) => {
  const figure = JSON.parse(whole);
  added.forEach(([from, x, y], i) => {
    figure.data[i].x.splice(from, Infinity, ...x);
    figure.data[i].y.splice(from, Infinity, ...y);
  });
  return figure;
};

export default function ({ data, parentElement, setStateValue }) {
  const host = parentElement.querySelector(".live-chart");
  host.style.height = `${data.height}px`;
  if (data.whole) [host.whole, host.name] = [data.whole, data.name];
  const has = host.name === data.name;
  if (data.name && (data.whole || !has)) setStateValue("has", has ? data.name : "");
  if (!has) return; // it comes with the next refresh
  host.pending = [host.whole, data.added]; // only the newest figure is drawn
  load(new URL(data.library, document.baseURI)).then((Plotly) => {
    if (!host.pending || !host.isConnected) return;
    const figure = figureOf(...host.pending);
    host.pending = null;
    Plotly.react(host, figure.data, figure.layout, CONFIG);
  });
}
