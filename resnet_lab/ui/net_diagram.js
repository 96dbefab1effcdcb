// The diagram as part of the page (st.html drops SVG, st.image its tooltips and the page's font).
export default function ({ data, parentElement }) {
  parentElement.querySelector(".net-diagram").innerHTML = data.svg;
}
