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

// Draws `figure` into `host`; of figures that come faster than they are drawn, the newest.
export function chart(host, figure, library) {
  host.pending = figure;
  load(new URL(library, document.baseURI)).then((Plotly) => {
    if (!host.pending || !host.isConnected) return;
    const { data, layout } = host.pending;
    host.pending = null;
    Plotly.react(host, data, layout, CONFIG);
  });
}

export default function ({ data, parentElement }) {
  const host = parentElement.querySelector(".live-chart");
  host.style.height = `${data.height}px`;
  chart(host, JSON.parse(data.figure), data.library);
}
