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

export default function (component) {
  const { data, parentElement } = component;
  const host = parentElement.querySelector(".live-chart");
  host.style.height = `${data.height}px`;
  host.pending = data.figure; // only the newest figure is drawn
  load(new URL(data.library, document.baseURI)).then((Plotly) => {
    if (!host.pending || !host.isConnected) return;
    const figure = JSON.parse(host.pending);
    host.pending = null;
    Plotly.react(host, figure.data, figure.layout, CONFIG);
  });
}
