// The live progress of a task, and the charts. Every figure is also in the page itself.
(function () {
  "use strict";

  // Whoever fills in the field beside a choice means that choice.
  document.querySelectorAll(".choice .field").forEach(function (field) {
    field.addEventListener("input", function () {
      var radio = field.closest(".choice").querySelector("input[type=radio]");
      if (radio) radio.checked = true;
    });
  });

  function color(name) { return getComputedStyle(document.body).getPropertyValue("--mp-" + name).trim(); }
  var charts = [];
  function chart(element) {
    element.hidden = false;
    var c = echarts.init(element);
    charts.push(c);
    return c;
  }
  window.addEventListener("resize", function () { charts.forEach(function (c) { c.resize(); }); });
  var still = { animation: false, useUTC: true, tooltip: { renderMode: "richText" } };
  function axes() {
    return { axisLine: { lineStyle: { color: color("line") } }, axisLabel: { color: color("quiet"), hideOverlap: true }, splitLine: { lineStyle: { color: color("line") } } };
  }
  var states = ["sent", "failed", "skipped", "unknown"];
  function label(element, state) { return element.getAttribute("data-label-" + state); }

  document.querySelectorAll("[data-donut]").forEach(function (element) {
    if (!window.echarts) return;
    var counts = JSON.parse(element.dataset.donut);
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", states.map(function (s) { return label(element, s) + " " + counts[s]; }).join(", "));
    chart(element).setOption(Object.assign({}, still, {
      tooltip: { renderMode: "richText", trigger: "item" },
      series: [{
        type: "pie", radius: ["55%", "90%"], label: { show: false }, itemStyle: { borderColor: color("card"), borderWidth: 2 },
        data: states.filter(function (s) { return counts[s] > 0; }).map(function (s) { return { name: label(element, s), value: counts[s], itemStyle: { color: color(s) } }; })
      }]
    }));
  });

  document.querySelectorAll("[data-bars]").forEach(function (element) {
    if (!window.echarts) return;
    var bars = JSON.parse(element.dataset.bars);
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", document.title);
    chart(element).setOption(Object.assign({}, still, {
      tooltip: { renderMode: "richText", trigger: "axis" },
      legend: { type: "scroll", textStyle: { color: color("text") }, pageTextStyle: { color: color("text") }, top: 0 },
      grid: { left: 8, right: 8, top: 36, bottom: 4, containLabel: true },
      xAxis: Object.assign({ type: "category", data: bars.names }, axes()),
      yAxis: Object.assign({ type: "value", minInterval: 1 }, axes()),
      series: states.map(function (s) { return { name: label(element, s), type: "bar", stack: "all", barMaxWidth: 40, data: bars[s], itemStyle: { color: color(s) } }; })
    }));
  });

  // The stream. It is closed while nobody looks at the tab: a browser has only a few connections to a host.
  var live = document.querySelector("[data-live]");
  if (!live) return;
  var figures = live.querySelector("[data-figures]"), lost = live.querySelector("[data-lost]"), place = live.querySelector("[data-rate-chart]");
  var source = null, poll = 0, points = [], line = null;
  var address = live.dataset.live, phase = encodeURIComponent(live.dataset.phase);

  function draw() {
    if (!place || !window.echarts || points.length < 2) return;
    if (!line) {
      line = chart(place);
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", place.dataset.rateChart);
      line.setOption(Object.assign({}, still, {
        tooltip: { renderMode: "richText", trigger: "axis" },
        grid: { left: 4, right: 12, top: 12, bottom: 4, containLabel: true },
        xAxis: Object.assign({ type: "time" }, axes()), yAxis: Object.assign({ type: "value", min: 0 }, axes()),
        series: [{ name: place.dataset.rateChart, type: "line", showSymbol: false, areaStyle: { opacity: 0.15 }, itemStyle: { color: color("sending") } }]
      }));
    }
    line.setOption({ series: [{ data: points }] });
  }
  function add(point) {
    if (points.length && points[points.length - 1][0] >= point[0]) return;
    points.push(point);
    if (points.length > 600) points.shift();
  }
  function close() {
    if (source) source.close();
    source = null;
    window.clearTimeout(poll);
  }
  function reload() { close(); window.location.reload(); }

  // Where the stream does not come through, the figures are asked for now and then.
  function ask() {
    fetch(address + "/progress?phase=" + phase, { headers: { "HX-Request": "true" } }).then(function (answer) {
      if (answer.redirected || answer.headers.get("HX-Refresh")) return reload();
      if (!answer.ok) throw new Error(answer.status);
      return answer.text().then(function (html) { figures.innerHTML = html; });
    }).catch(function () { lost.hidden = false; }).then(function () { poll = window.setTimeout(ask, 10000); });
  }
  function open() {
    close();
    source = new EventSource(address + "/events?phase=" + phase);
    source.addEventListener("open", function () { lost.hidden = true; });
    source.addEventListener("history", function (event) { points = []; JSON.parse(event.data).forEach(add); draw(); });
    source.addEventListener("figures", function (event) {
      var data = JSON.parse(event.data);
      figures.innerHTML = data.html;
      lost.hidden = true;
      add(data.point);
      draw();
    });
    source.addEventListener("reload", reload);
    source.addEventListener("end", close);
    source.addEventListener("error", function () {
      lost.hidden = false;
      if (source && source.readyState === EventSource.CLOSED) { close(); ask(); }
    });
  }
  document.addEventListener("visibilitychange", function () { if (document.hidden) close(); else open(); });
  window.addEventListener("pagehide", close);
  open();
})();
