// The diagram as part of the page (st.html drops SVG, st.image its tooltips and the page's font).
// A click, Enter or Space on a shape with a path chooses it.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".net-diagram");
  root.innerHTML = data.svg;
  if (!data.choosable) return;
  for (const shape of root.querySelectorAll("[data-path]")) shape.style.cursor = "pointer";
  const choose = (event) => {
    const shape = event.target.closest?.("[data-path]");
    if (shape) setTriggerValue("chosen", shape.dataset.path);
    return shape;
  };
  root.onclick = choose;
  root.onkeydown = (event) => {
    if ((event.key === "Enter" || event.key === " ") && choose(event)) event.preventDefault();
  };
}
