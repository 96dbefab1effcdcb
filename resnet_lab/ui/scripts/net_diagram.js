// The diagram as part of the page (st.html drops SVG, st.image its tooltips and the page's font).
// A click, Enter or Space on a shape with a path chooses it. Buttons, + − 0, Ctrl and the wheel, or two fingers zoom it;
// one finger or the mouse moves it, and one finger that has nothing to move scrolls the page.
const CLOSEST = 8; // times its usual size
const STEP = 1.5;
const LOOK = `
  .frame { overflow: auto; touch-action: pan-x pan-y; }
  .frame.zoomed { max-height: 80vh; cursor: grab; }
  .tools { display: flex; justify-content: flex-end; gap: 4px; }
  .tools button { min-width: 36px; height: 36px; font: inherit; color: inherit; cursor: pointer;
    background: var(--st-background-color); border: 1px solid var(--st-border-color); border-radius: 5px; }
  @media (hover: hover) { /* as Streamlit's own tools: above what they belong to, while it is pointed at */
    :host, .net-diagram { position: relative; }
    .tools { position: absolute; right: 0; top: -34px; opacity: 0; }
    .tools button { height: 30px; }
    .net-diagram:hover .tools, .tools:focus-within { opacity: 1; }
  }`;

// Draws anew in the same frame, so that zoom and place survive a choice.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".net-diagram");
  const frame = root.querySelector(".frame") ?? framed(root);
  frame.innerHTML = data.svg;
  root.refit();
  if (!data.choosable) return;
  for (const shape of frame.querySelectorAll("[data-path]")) shape.style.cursor = "pointer";
  const choose = (event) => {
    const shape = event.target.closest?.("[data-path]");
    if (shape) setTriggerValue("chosen", shape.dataset.path);
    return shape;
  };
  frame.onclick = choose;
  frame.onkeydown = (event) => {
    if ((event.key === "Enter" || event.key === " ") && choose(event)) event.preventDefault();
  };
}

// The frame that scrolls, with its buttons; `root.refit` gives a new drawing the zoom of the one before.
function framed(root) {
  root.innerHTML = `<style>${LOOK}</style><div class="tools" role="group" aria-label="Zoom">
    <button aria-label="Zoom out">−</button><button aria-label="Fit">Fit</button><button aria-label="Zoom in">+</button>
    </div><div class="frame" tabindex="0" role="group" aria-label="Diagram"></div>`;
  const frame = root.querySelector(".frame");
  let zoom = 1;
  root.refit = () => {
    const svg = frame.querySelector("svg");
    svg.usual ??= parseFloat(svg.style.maxWidth); // pixels
    svg.style.width = `${100 * zoom}%`;
    svg.style.maxWidth = `${svg.usual * zoom}px`;
    frame.classList.toggle("zoomed", zoom > 1);
  };
  // The place at x and y of the window stays there, as far as the frame can scroll.
  const zoomTo = (wanted, x, y) => {
    const before = frame.firstChild.getBoundingClientRect();
    const times = Math.min(Math.max(wanted, 1), CLOSEST) / zoom;
    zoom *= times;
    root.refit();
    const after = frame.firstChild.getBoundingClientRect();
    frame.scrollLeft += after.left + (x - before.left) * times - x;
    frame.scrollTop += after.top + (y - before.top) * times - y;
  };
  const zoomBy = (times) => {
    const { left, top, width, height } = frame.getBoundingClientRect();
    zoomTo(times ? zoom * times : 1, left + width / 2, top + height / 2);
  };
  [1 / STEP, 0, STEP].forEach((times, i) => (root.querySelectorAll("button")[i].onclick = () => zoomBy(times)));
  frame.addEventListener("keydown", ({ key, ctrlKey, metaKey }) => {
    const times = { "+": STEP, "=": STEP, "-": 1 / STEP, 0: 0 }[key];
    if (times !== undefined && !ctrlKey && !metaKey) zoomBy(times);
  });
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // a trackpad's pinch comes with it
    event.preventDefault();
    zoomTo(zoom * Math.exp(-event.deltaY / 200), event.clientX, event.clientY);
  }, { passive: false });
  pinched(frame, () => zoom, zoomTo);
  dragged(frame);
  return frame;
}

function pinched(frame, zoomNow, zoomTo) {
  let begun = null;
  const fingers = ([a, b]) => ({
    apart: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY),
    x: (a.clientX + b.clientX) / 2,
    y: (a.clientY + b.clientY) / 2,
  });
  frame.addEventListener("touchstart", ({ touches }) => {
    begun = touches.length === 2 ? { ...fingers(touches), zoom: zoomNow() } : null;
  }, { passive: true });
  frame.addEventListener("touchmove", (event) => {
    if (!begun || event.touches.length !== 2) return;
    event.preventDefault();
    const { apart, x, y } = fingers(event.touches);
    frame.scrollLeft += begun.x - x; // both fingers together move it
    frame.scrollTop += begun.y - y;
    zoomTo((begun.zoom * apart) / begun.apart, x, y);
    Object.assign(begun, { x, y });
  }, { passive: false });
}

// With the mouse; what was a drag is no click.
function dragged(frame) {
  let from = null, far = false;
  frame.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0) [from, far] = [event, false];
  });
  frame.addEventListener("pointermove", (event) => {
    if (!from || !(event.buttons & 1)) return;
    far ||= Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) > 4;
    if (far) frame.scrollBy(-event.movementX, -event.movementY);
  });
  frame.addEventListener("click", (event) => {
    if (from && far) event.stopImmediatePropagation();
    from = null;
  }, { capture: true });
}
