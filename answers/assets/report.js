// Draws the ladder of each unit, and switches between the units.
(() => {
  "use strict";
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const counts = new Intl.NumberFormat("en");
  // The colours are CSS variables, so that light, dark and print need no second drawing.
  const ink = { fill: "var(--ink)", alarm: "var(--alarm)", muted: "var(--muted)", line: "var(--line)", card: "var(--card)" };
  const font = getComputedStyle(document.body).fontFamily;
  const NARROW = 620;

  const percent = (share) => {
    const text = `${(share * 100).toFixed(1)}%`;
    if (text === "0.0%") return share === 0 ? "0%" : "<0.1%";
    if (text === "100.0%") return share === 1 ? "100%" : ">99.9%";
    return text;
  };

  function tooltip(unit, tier) {
    const box = document.createElement("div");
    const line = (text, bold) => {
      const row = box.appendChild(document.createElement("div"));
      row.textContent = text;
      if (bold) row.style.fontWeight = "600";
    };
    line(`${tier.tier} ${tier.name}`, true);
    if (tier.asked > 0) {
      line(`asked: ${counts.format(tier.asked)} ${unit}s`);
      line(`yes ${counts.format(tier.yes)}, no ${counts.format(tier.no)}, silent ${counts.format(tier.silent)}`);
      line(`drop-off ${percent(tier.drop_off)} (${percent(tier.drop_off_low)} to ${percent(tier.drop_off_high)})`);
    } else {
      line("nobody was asked");
    }
    if (tier.implicit > 0) line(`yes without an ask: ${counts.format(tier.implicit)}`);
    return box;
  }

  function ladder(view, width) {
    const { unit, tiers } = view;
    const narrow = width < NARROW;
    const rowHeight = tiers.length > 12 ? 26 : narrow ? 34 : 46;
    const gridHeight = Math.max(tiers.length * rowHeight, 60);
    const longest = Math.max(...tiers.map((tier) => tier.name.length));
    const names = Math.min(Math.max(longest * 7.5 + 36, 80), narrow ? 110 : 210);
    const head = 30;
    const foot = 26;
    const left = narrow
      ? { left: names, right: 74, top: head, height: gridHeight }
      : { left: names, width: Math.round((width - names) * 0.36) - 58, top: head, height: gridHeight };
    const right = narrow
      ? { left: names, right: 74, top: head + gridHeight + foot + head, height: gridHeight }
      : { left: names + Math.round((width - names) * 0.36) + 24, right: 78, top: head, height: gridHeight };
    const barWidth = Math.round(rowHeight * 0.62);
    const text = { color: ink.fill, fontFamily: font, fontSize: 13 };

    const axisY = (grid, labels) => ({
      type: "category",
      gridIndex: grid,
      inverse: true,
      data: tiers.map((tier) => `${tier.tier}  ${tier.name}`),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: {
        ...text,
        show: labels,
        interval: 0,
        width: names - 12,
        overflow: rowHeight > 30 ? "break" : "truncate",
        lineHeight: 15,
        margin: names - 2,
        align: "left",
      },
    });
    const segment = (grid, name, value, style) => ({
      type: "bar",
      name: `${name} ${grid}`,
      stack: `stack ${grid}`,
      xAxisIndex: grid,
      yAxisIndex: grid,
      barWidth,
      cursor: "default",
      emphasis: { disabled: true },
      itemStyle: { borderColor: ink.card, borderWidth: 1, ...style },
      // nothing at all, rather than a bar of width 0 with a border
      data: tiers.map((tier) => value(tier) || null),
    });
    const nothing = (grid, name) => ({
      ...segment(grid, name, () => 0, {}),
      itemStyle: { color: "transparent", borderWidth: 0 },
      data: tiers.map(() => 0),
    });
    const share = (number, tier) => (tier.asked > 0 ? number / tier.asked : 0);
    const hatched = { color: "var(--no)", decal: { symbol: "rect", color: "var(--card)", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: -Math.PI / 4 } };
    const parts = [["yes", { color: "var(--yes)" }], ["no", hatched], ["silent", { color: "var(--silent)" }]];

    const many = parts.map(([name, style]) => segment(0, name, (tier) => tier[name], style));
    many.push(segment(0, "implicit", (tier) => tier.implicit, {
      color: "transparent", borderColor: "var(--yes)", borderType: "dashed", borderWidth: 1.5,
    }));
    many.push({
      ...nothing(0, "asked"),
      label: { ...text, show: true, position: "right", formatter: (at) => counts.format(tiers[at.dataIndex].asked) },
    });
    const shares = parts.map(([name, style]) => segment(1, name, (tier) => share(tier[name], tier), style));
    shares[0].label = {
      ...text, color: "var(--yes-ink)", show: true, position: "insideLeft",
      formatter: (at) => {
        // up to the whisker, which is drawn over the bar
        const room = (1 - tiers[at.dataIndex].drop_off_high) * (width - right.left - right.right);
        if (room < 52) return "";
        return room < 80 ? percent(at.value) : `${percent(at.value)} yes`;
      },
    };
    shares.push({
      ...nothing(1, "drop-off"),
      label: {
        show: true,
        position: "right",
        distance: 10,
        formatter: (at) => {
          const tier = tiers[at.dataIndex];
          if (tier.asked === 0) return "{none|nobody asked}";
          return `{${tier.tier === view.worst ? "worst" : "lost"}|${percent(tier.drop_off)}}`;
        },
        rich: {
          none: { ...text, color: ink.muted },
          lost: { ...text, fontWeight: 600 },
          worst: { ...text, fontWeight: 600, color: ink.alarm },
        },
      },
    });
    const whiskers = {
      type: "custom",
      name: "interval",
      xAxisIndex: 1,
      yAxisIndex: 1,
      silent: true,
      z: 5,
      data: tiers.flatMap((tier, at) => (tier.asked > 0 ? [[at, 1 - tier.drop_off_high, 1 - tier.drop_off_low]] : [])),
      encode: { x: [1, 2], y: 0 },
      renderItem: (_, api) => {
        const [from, y] = api.coord([api.value(1), api.value(0)]);
        const [to] = api.coord([api.value(2), api.value(0)]);
        const cap = barWidth * 0.28;
        const d = `M${from} ${y - cap}V${y + cap}M${from} ${y}H${to}M${to} ${y - cap}V${y + cap}`;
        const line = (stroke, lineWidth) => ({ type: "path", shape: { pathData: d }, style: { stroke, lineWidth, fill: "none" } });
        return { type: "group", children: [line(ink.card, 5), line(ink.fill, 2)] };
      },
    };
    const title = (heading, grid, place) => ({
      text: heading, top: grid.top - head, padding: [6, 0], ...place,
      textStyle: { ...text, color: ink.muted, fontWeight: 400 },
    });
    const asIs = { type: "value", gridIndex: 0, min: 0, axisLabel: { show: false }, splitLine: { show: false } };
    return {
      height: narrow ? 2 * (gridHeight + head + foot) : gridHeight + head + foot,
      option: {
        animation: false,
        textStyle: { fontFamily: font },
        aria: { enabled: true, label: { enabled: false }, decal: { show: false } },
        tooltip: {
          trigger: "axis",
          axisPointer: { type: "shadow", shadowStyle: { color: "var(--line)", opacity: 0.35 } },
          confine: true,
          backgroundColor: "var(--card)",
          borderColor: "var(--line)",
          textStyle: { ...text },
          formatter: (items) => tooltip(unit, tiers[items[0].dataIndex]),
        },
        title: [
          title(`How many ${unit}s were asked`, left, { left: narrow ? 0 : left.left }),
          title("What they answered", right, { left: narrow ? 0 : right.left }),
          title("Drop-off", right, { left: width - right.right + 10 }),
        ],
        grid: [left, right],
        xAxis: [
          { ...asIs, max: Math.max(1, ...tiers.map((tier) => tier.asked + tier.implicit)) },
          {
            type: "value", gridIndex: 1, min: 0, max: 1, interval: 0.25,
            axisLabel: { ...text, fontSize: 12, color: ink.muted, formatter: (value) => `${value * 100}%` },
            splitLine: { lineStyle: { color: ink.line } },
          },
        ],
        yAxis: [axisY(0, true), axisY(1, narrow)],
        series: [...many, ...shares, whiskers],
      },
    };
  }

  const charts = new Map();
  function draw(view) {
    const place = document.getElementById(`chart-${view.unit}`);
    const width = place.clientWidth;
    const { height, option } = ladder(view, width);
    place.style.height = `${height}px`;
    let chart = charts.get(view.unit);
    if (chart === undefined) {
      chart = echarts.init(place, null, { renderer: "svg", width, height });
      charts.set(view.unit, chart);
    } else {
      chart.resize({ width, height });
    }
    chart.setOption(option, true);
  }

  function show(unit) {
    for (const part of document.querySelectorAll("[data-unit]")) part.hidden = part.dataset.unit !== unit;
    draw(facts.views.find((view) => view.unit === unit));
  }

  const units = document.querySelector(".units");
  units.hidden = false;
  document.querySelector(".legend").hidden = false;
  const chosen = () => units.querySelector(":checked").value;
  const asked = units.querySelector(`[value="${CSS.escape(location.hash.slice(1))}"]`);
  if (asked !== null) asked.checked = true;
  units.addEventListener("change", () => {
    history.replaceState(null, "", `#${chosen()}`);
    show(chosen());
  });
  window.addEventListener("resize", () => show(chosen()));
  show(chosen());
})();
