// The replay: two maps on canvases, one clock. Reads the numbers that py_agent/report/replay.py packed.
(() => {
  "use strict";
  const replay = JSON.parse(document.getElementById("replay-data").textContent);
  const integers = (text, Kind) => new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const position = integers(replay.position, Uint16Array);
  const steps = replay.time_s.length;
  const overview = document.querySelector("#overview svg");
  const [, , widthM, heightM] = overview.getAttribute("viewBox").split(" ").map(Number);
  const streets = new Path2D(overview.querySelector(".streets").getAttribute("d"));
  const cellImage = new Image();
  cellImage.src = overview.querySelector("image").getAttribute("href");
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
  const button = document.getElementById("play");
  const slider = document.getElementById("step");
  const clock = document.getElementById("clock");
  const STEPS_PER_SECOND = 4, FLASH_STEPS = 1.5;
  let now = 0, playing = false, last = null;

  const sides = [...document.querySelectorAll(".side")].map((element, index) => ({
    canvas: element.querySelector(".map canvas"),
    trend: element.querySelector(".trend"),
    now: element.querySelector(".now"),
    meters: [...element.querySelectorAll(".meter")],
    serving: integers(replay.sides[index].serving, Int16Array),
    load: integers(replay.sides[index].load, Uint16Array),
    loadStd: integers(replay.sides[index].load_std, Uint16Array),
    handovers: integers(replay.sides[index].handovers, Uint16Array),
  }));

  function at(step, ue, share) {
    const from = 2 * (step * replay.ues + ue), to = 2 * (Math.min(step + 1, steps - 1) * replay.ues + ue);
    return [0, 1].map(
      (axis) => replay.origin_m[axis] + replay.unit_m * (position[from + axis] * (1 - share) + position[to + axis] * share)
    );
  }

  function penOf(canvas, width, height) {
    const pixels = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * pixels);
    canvas.height = Math.round(height * pixels);
    const pen = canvas.getContext("2d");
    pen.scale(pixels, pixels);
    return pen;
  }

  function drawTrend(side) {
    const width = side.trend.clientWidth, height = side.trend.clientHeight, left = 34, bottom = 16;
    const pen = penOf(side.trend, width, height);
    const greatest = Math.ceil(Math.max(...sides.flatMap((any) => [...any.loadStd])) / 1000) * 1000 || 1000;
    const x = (step) => left + ((width - left - 4) * step) / Math.max(steps - 1, 1);
    const y = (value) => 4 + (height - bottom - 4) * (1 - value / greatest);
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = style("--muted");
    pen.strokeStyle = style("--grid");
    pen.textBaseline = "middle";
    for (const value of [0, greatest / 2, greatest]) {
      pen.beginPath();
      pen.moveTo(left, y(value));
      pen.lineTo(width - 4, y(value));
      pen.stroke();
      pen.fillText((value / 1e4).toFixed(2), 0, Math.max(y(value), 6));
    }
    pen.textBaseline = "bottom";
    pen.fillText("load std", left, height);
    pen.textAlign = "right";
    pen.fillText(`${replay.time_s[steps - 1]} s`, width - 4, height);
    for (const other of [...sides.filter((any) => any !== side), side]) {
      pen.beginPath();
      for (let step = 0; step < steps; step++) pen.lineTo(x(step), y(other.loadStd[step]));
      pen.globalAlpha = other === side ? 1 : 0.3;
      pen.strokeStyle = style("--ink");
      pen.lineWidth = 1.6;
      pen.stroke();
    }
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.arc(x(Math.floor(now)), y(side.loadStd[Math.floor(now)]), 4, 0, 7);
    pen.fillStyle = style("--accent");
    pen.fill();
  }

  function drawSide(side) {
    const step = Math.floor(now), share = now - step;
    const width = side.canvas.clientWidth, scale = width / widthM;
    const pen = penOf(side.canvas, width, heightM * scale);
    if (cellImage.complete) {
      pen.globalAlpha = 0.17;
      pen.drawImage(cellImage, 0, 0, width, heightM * scale);
      pen.globalAlpha = 1;
    }
    pen.save();
    pen.scale(scale, scale);
    pen.strokeStyle = style("--street");
    pen.lineWidth = 1 / scale;
    pen.stroke(streets);
    pen.restore();
    const color = (cell) => (cell < 0 ? replay.unserved : style(replay.colors[cell].slice(4, -1)));
    replay.sites.forEach(([x, y], cell) => {
      pen.beginPath();
      pen.moveTo(x * scale, y * scale - 8);
      pen.lineTo(x * scale + 7, y * scale + 5);
      pen.lineTo(x * scale - 7, y * scale + 5);
      pen.closePath();
      pen.fillStyle = color(cell);
      pen.fill();
      pen.strokeStyle = style("--ink");
      pen.lineWidth = 1.4;
      pen.stroke();
    });
    for (let ue = 0; ue < replay.ues; ue++) {
      const [x, y] = at(step, ue, share).map((value) => value * scale);
      const cell = side.serving[step * replay.ues + ue];
      pen.beginPath();
      pen.arc(x, y, 4, 0, 7);
      pen.fillStyle = color(cell);
      pen.fill();
      pen.strokeStyle = style("--edge");
      pen.lineWidth = 1;
      pen.stroke();
      for (let back = 0; back < FLASH_STEPS && step - back > 0; back++) {
        const age = (back + share) / FLASH_STEPS;
        if (age < 1 && side.serving[(step - back) * replay.ues + ue] !== side.serving[(step - back - 1) * replay.ues + ue]) {
          pen.beginPath();
          pen.arc(x, y, 6 + 9 * age, 0, 7);
          pen.globalAlpha = 1 - age;
          pen.strokeStyle = color(cell);
          pen.lineWidth = 2.5;
          pen.stroke();
          pen.globalAlpha = 1;
          break;
        }
      }
    }
    side.meters.forEach((meter, cell) => {
      const load = side.load[step * replay.cells + cell] / 1e4;
      meter.querySelector(":scope > div > div").style.width = `${100 * load}%`;
      meter.querySelector("span:last-child").textContent = `${Math.round(100 * load)} %`;
    });
    side.now.textContent = `load std ${(side.loadStd[step] / 1e4).toFixed(3)} · ${side.handovers[step]} handovers started`;
    drawTrend(side);
  }

  function draw() {
    clock.textContent = `t = ${replay.time_s[Math.floor(now)].toFixed(1)} s`;
    slider.value = Math.floor(now);
    sides.forEach(drawSide);
  }

  function tick(stamp) {
    if (!playing) return;
    now = Math.min(now + ((stamp - (last ?? stamp)) / 1000) * STEPS_PER_SECOND, steps - 1);
    last = stamp;
    draw();
    if (now >= steps - 1) play(false);
    else requestAnimationFrame(tick);
  }

  function play(start) {
    playing = start;
    last = null;
    button.textContent = start ? "❚❚ Pause" : "▶ Play";
    if (start) requestAnimationFrame(tick);
  }

  button.addEventListener("click", () => {
    if (!playing && now >= steps - 1) now = 0;
    play(!playing);
  });
  slider.addEventListener("input", () => {
    now = Number(slider.value);
    draw();
  });
  document.documentElement.classList.add("js");
  cellImage.addEventListener("load", draw);
  new ResizeObserver(draw).observe(sides[0].canvas.parentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
