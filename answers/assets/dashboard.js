// Draws the charts of a page from its facts, and copies what is to be copied.
(() => {
  "use strict";
  const counts = new Intl.NumberFormat("en");
  // The colours are CSS variables, so that light and dark need no second drawing.
  const ink = "var(--ink)", muted = "var(--muted)", line = "var(--line)", card = "var(--card)";
  const font = getComputedStyle(document.body).fontFamily;
  const text = { color: ink, fontFamily: font, fontSize: 13 };
  // Okabe and Ito's colours, each with a dash of its own, so that lines differ without colour, too.
  const colours = ["var(--yes)", "var(--no)", "#009e73", "var(--ink)", "#cc79a7", "var(--open)"];
  const dashes = ["solid", [7, 4], [2, 3], [10, 3, 2, 3], [5, 2], [1, 2]];
  const MOST_LINES = 6;

  const percent = (share) => {
    const said = `${(share * 100).toFixed(1)}%`;
    if (said === "0.0%") return share === 0 ? "0%" : "<0.1%";
    if (said === "100.0%") return share === 1 ? "100%" : ">99.9%";
    return said;
  };
  const shortened = (name, most) => (name.length <= most ? name : `${name.slice(0, most - 1)}…`);

  // A box of plain text: names are untrusted, and never become HTML.
  function box(lines) {
    const found = document.createElement("div");
    found.style.maxWidth = "22rem";
    found.style.whiteSpace = "normal";
    found.style.overflowWrap = "anywhere";
    lines.forEach((said, place) => {
      const row = found.appendChild(document.createElement("div"));
      row.textContent = said;
      if (place === 0) row.style.fontWeight = "600";
    });
    return found;
  }
  const tooltip = (more) => ({
    confine: true, backgroundColor: card, borderColor: line, textStyle: { ...text }, ...more,
  });
  const common = { animation: false, textStyle: { fontFamily: font }, aria: { enabled: false } };
  const path = (pathData, style) => ({ type: "path", shape: { pathData }, style: { fill: "none", ...style } });

  // Highlighted, a colour that is a CSS variable would become none.
  const drawnAsIs = (children) => ({
    type: "group", emphasisDisabled: true, children: children.map((child) => ({ ...child, emphasisDisabled: true })),
  });

  // A name of any length, in the room that there is for it.
  const named = (name, x, y, width) => ({
    type: "text", silent: true,
    style: { text: shortened(name, 200), x, y, textVerticalAlign: "middle", fill: ink, font: `600 13px ${font}`, width, overflow: "truncate", ellipsis: "…" },
  });

  // The tiers as rows of bars, joined where the yes of one leads to the asks of the next.
  function flow({ unit, tiers, before, links }, width) {
    const narrow = width < 560;
    const row = narrow ? 66 : tiers.length > 12 ? 40 : 58;
    const thick = narrow ? 28 : Math.round(row * 0.48);
    const left = narrow ? 4 : 150;
    const right = narrow ? 56 : 190;
    const most = Math.max(1, ...tiers.map((tier) => tier.asked), ...before.map((tier) => (tier ? tier.asked : 0)));
    const across = Math.max(40, width - left - right);
    const x = (number) => left + (across * number) / most;
    const middle = (place) => place * row + row / 2 + (narrow ? 8 : 0);
    const children = [];
    tiers.forEach((tier, place) => {
      const top = middle(place) - thick / 2;
      const under = top + thick;
      const next = tiers[place + 1];
      if (next && tier.yes > 0 && next.asked > 0) {
        const below = middle(place + 1) - thick / 2;
        const way = `M${x(0)} ${under}H${x(tier.yes)}L${x(next.asked)} ${below}H${x(0)}Z`;
        children.push({ silent: true, ...path(way, { fill: "var(--yes)", opacity: 0.13 }) });
      }
      let begin = 0;
      [["yes", "var(--yes)"], ["no", "var(--no)"], ["silent", "var(--silent)"]].forEach(([name, fill]) => {
        const number = tier[name];
        if (number === 0) return;
        children.push({
          type: "rect", cursor: "pointer", info: { place, name },
          shape: { x: x(begin), y: top, width: Math.max(1.5, x(begin + number) - x(begin)), height: thick },
          style: { fill, stroke: card, lineWidth: 1 },
        });
        if (name === "no") {
          const stripes = [];
          for (let at = x(begin) + 4; at < x(begin + number); at += 6) stripes.push(`M${at} ${top}V${under}`);
          if (stripes.length) children.push({ silent: true, ...path(stripes.join(""), { stroke: card, lineWidth: 1.2 }) });
        }
        begin += number;
      });
      if (tier.in_flight > 0) {
        children.push({ silent: true, ...path(`M${x(tier.asked - tier.in_flight)} ${under + 4}H${x(tier.asked)}`, { stroke: "var(--open)", lineWidth: 3 }) });
      }
      const then = before[place];
      if (then) {
        const dashed = { stroke: "var(--before)", lineWidth: 1.5, lineDash: [4, 3] };
        children.push({ silent: true, ...path(`M${x(then.yes)} ${top - 5}V${under + 5}`, dashed) });
        children.push({ silent: true, ...path(`M${x(0)} ${top - 4}H${x(then.asked)}V${under + 4}`, dashed) });
      }
      children.push(named(`${tier.tier}  ${tier.name}`, narrow ? left : 0, narrow ? top - 14 : middle(place), (narrow ? width : left) - 16));
      const said = tier.asked === 0 ? "nobody asked" : narrow ? percent(1 - tier.drop_off) : `${percent(1 - tier.drop_off)} of ${counts.format(tier.asked)} said yes`;
      children.push({ type: "text", silent: true, style: { text: said, x: narrow && tier.asked === 0 ? left : x(Math.max(tier.asked, then ? then.asked : 0)) + 10, y: middle(place), textVerticalAlign: "middle", fill: tier.asked === 0 ? muted : ink, font: `13px ${font}` } });
    });
    return {
      height: tiers.length * row + (narrow ? 12 : 6),
      option: {
        ...common,
        series: [{ type: "custom", coordinateSystem: "none", data: [0], renderItem: () => drawnAsIs(children) }],
      },
      after: (chart, place) => {
        const told = place.parentElement.querySelector(".told") || place.insertAdjacentElement("afterend", document.createElement("p"));
        told.className = "told hint";
        told.textContent = "A part of a bar leads to its people.";
        chart.off("click");
        chart.on("click", (event) => {
          const info = event.info;
          if (info) location.assign(links[info.place][info.name]);
        });
        chart.on("mouseover", (event) => {
          const info = event.info;
          if (!info) return;
          const tier = tiers[info.place];
          const word = { yes: "said yes", no: "said no", silent: "stayed silent" }[info.name];
          told.textContent = `${tier.name}: ${counts.format(tier[info.name])} of ${counts.format(tier.asked)} ${unit}s ${word}; a click opens them.`;
        });
      },
    };
  }

  // Shares over time, a line for each name; a point is [share, low, high] or null.
  function lines({ periods, lines: all }, width) {
    const shown = all.filter(([, points]) => points.some((point) => point)).slice(0, MOST_LINES);
    const narrow = width < 560;
    const most = Math.max(...shown.flatMap(([, points]) => points.map((point) => (point ? point[0] : 0))));
    const highest = [0.01, 0.02, 0.04, 0.1, 0.2, 0.4].find((end) => most <= end * 0.95) || 1;
    return {
      height: narrow ? 300 : 320,
      option: {
        ...common,
        grid: { left: 44, right: 16, top: 40 + (narrow ? 20 : 0), bottom: 28 },
        legend: { type: "plain", top: 0, left: 0, textStyle: text, itemWidth: 32, formatter: (name) => shortened(name, 24) },
        tooltip: tooltip({
          trigger: "axis",
          axisPointer: { lineStyle: { color: muted } },
          formatter: (items) => box([
            periods[items[0].dataIndex],
            ...shown.flatMap(([name, points]) => {
              const point = points[items[0].dataIndex];
              return point ? [`${name}: ${percent(point[0])} (${percent(point[1])} to ${percent(point[2])})`] : [];
            }),
          ]),
        }),
        xAxis: {
          type: "category", data: periods, boundaryGap: false,
          axisLabel: { ...text, fontSize: 12, color: muted, hideOverlap: true }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false },
        },
        yAxis: {
          type: "value", min: 0, max: highest, interval: highest / 4,
          axisLabel: { ...text, fontSize: 12, color: muted, formatter: (value) => `${+(value * 100).toFixed(1)}%` },
          splitLine: { lineStyle: { color: line } },
        },
        series: shown.map(([name, points], place) => ({
          type: "line", name, data: points.map((point) => (point ? point[0] : null)),
          symbol: "circle", symbolSize: points.length > 40 ? 0 : 5, showSymbol: true, emphasis: { disabled: true },
          lineStyle: { color: colours[place], width: 2, type: dashes[place] },
          itemStyle: { color: colours[place] },
        })),
      },
    };
  }

  // Counts by day, one on top of the other.
  function bars({ periods, bars: all }, width) {
    const fills = ["var(--yes)", "var(--silent)", "var(--no)"];
    return {
      height: 220,
      option: {
        ...common,
        grid: { left: 60, right: 10, top: 36, bottom: 28 },
        legend: { top: 0, left: 0, textStyle: text },
        tooltip: tooltip({
          trigger: "axis", axisPointer: { type: "shadow", shadowStyle: { color: line, opacity: 0.35 } },
          formatter: (items) => box([periods[items[0].dataIndex], ...items.map((item) => `${item.seriesName}: ${counts.format(item.value || 0)}`)]),
        }),
        xAxis: { type: "category", data: periods, axisLabel: { ...text, fontSize: 12, color: muted, hideOverlap: true }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false } },
        yAxis: { type: "value", minInterval: 1, axisLabel: { ...text, fontSize: 12, color: muted, formatter: (value) => counts.format(value) }, splitLine: { lineStyle: { color: line } } },
        series: all.map(([name, numbers], place) => ({
          type: "bar", name, stack: "all", data: numbers, barMaxWidth: 40, emphasis: { disabled: true },
          itemStyle: { color: fills[place] },
        })),
      },
      width,
    };
  }

  // Steps as bars from the left, each with what came through and, lighter, what was there before it.
  function funnel({ steps }, width) {
    const narrow = width < 560;
    const row = narrow ? 58 : 46, thick = 26;
    const left = narrow ? 4 : Math.min(260, Math.round(width * 0.28));
    const right = narrow ? 118 : 190;
    const most = Math.max(1, ...steps.map((step) => step.count));
    const across = Math.max(40, width - left - right);
    const x = (number) => left + (across * number) / most;
    const children = [];
    steps.forEach((step, place) => {
      const middle = place * row + row / 2 + (narrow ? 9 : 0);
      const top = middle - thick / 2;
      const before = step.previous ? steps[step.previous - 1].count : step.count;
      const rect = (number, fill) => ({ type: "rect", silent: true, shape: { x: left, y: top, width: Math.max(number > 0 ? 1.5 : 0, x(number) - left), height: thick }, style: { fill } });
      children.push(rect(before, "var(--silent)"), rect(step.count, "var(--yes)"));
      const word = (said, at, y, style) => children.push({ type: "text", silent: true, style: { text: said, x: at, y, textVerticalAlign: "middle", fill: ink, font: `13px ${font}`, ...style } });
      children.push(named(`${place + 1}  ${step.name}`, narrow ? left : 0, narrow ? top - 11 : middle, (narrow ? width : left) - 16));
      const said = step.previous ? `${counts.format(step.count)}, ${percent(step.share[0])}` : counts.format(step.count);
      word(said, x(before) + 8, middle, {});
    });
    return {
      height: steps.length * row + 12,
      option: {
        ...common,
        series: [{ type: "custom", coordinateSystem: "none", data: [0], silent: true, renderItem: () => drawnAsIs(children) }],
      },
    };
  }

  // How many took how long, side by side for each step.
  function spread({ edges, bars: all }, width) {
    const narrow = width < 560;
    return {
      height: narrow ? 300 : 260,
      option: {
        ...common,
        grid: { left: 56, right: 10, top: 40 + (narrow ? 18 * Math.min(all.length, 4) : 0), bottom: narrow ? 70 : 30 },
        legend: { top: 0, left: 0, textStyle: text, formatter: (name) => shortened(name, narrow ? 34 : 40) },
        tooltip: tooltip({
          trigger: "axis", axisPointer: { type: "shadow", shadowStyle: { color: line, opacity: 0.35 } },
          formatter: (items) => box([edges[items[0].dataIndex], ...items.map((item) => `${item.seriesName}: ${counts.format(item.value || 0)}`)]),
        }),
        xAxis: { type: "category", data: edges, axisLabel: { ...text, fontSize: 11, color: muted, interval: 0, rotate: narrow ? 50 : 0 }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false } },
        yAxis: { type: "value", minInterval: 1, axisLabel: { ...text, fontSize: 12, color: muted, formatter: (value) => counts.format(value) }, splitLine: { lineStyle: { color: line } } },
        series: all.slice(0, MOST_LINES).map(([name, numbers], place) => ({
          type: "bar", name: `${place + 2}  ${name}`, data: numbers, barMaxWidth: 34, emphasis: { disabled: true }, itemStyle: { color: colours[place] },
        })),
      },
    };
  }

  // A share day by day with its interval as a band, and the day on which something began.
  function around({ periods, points, since }, width) {
    const narrow = width < 560;
    const values = (place) => points.map((point) => (point ? point[place] : null));
    const band = points.map((point) => (point ? point[2] - point[1] : null));
    const plain = { type: "line", symbol: "none", silent: true, stack: "band", emphasis: { disabled: true }, lineStyle: { opacity: 0 } };
    return {
      height: 280,
      option: {
        ...common,
        grid: { left: 48, right: 16, top: 26, bottom: 28 },
        tooltip: tooltip({
          trigger: "axis", axisPointer: { lineStyle: { color: muted } },
          formatter: (items) => {
            const point = points[items[0].dataIndex];
            return box([periods[items[0].dataIndex], point ? `${percent(point[0])} said yes (${percent(point[1])} to ${percent(point[2])})` : "nobody asked"]);
          },
        }),
        xAxis: { type: "category", data: periods, boundaryGap: false, axisLabel: { ...text, fontSize: 12, color: muted, hideOverlap: true }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false } },
        yAxis: { type: "value", min: 0, max: 1, interval: narrow ? 0.5 : 0.25, axisLabel: { ...text, fontSize: 12, color: muted, formatter: (value) => `${value * 100}%` }, splitLine: { lineStyle: { color: line } } },
        series: [
          { ...plain, name: "low", data: values(1) },
          { ...plain, name: "band", data: band, areaStyle: { color: "var(--yes)", opacity: 0.18 } },
          {
            type: "line", name: "yes-rate", data: values(0), symbol: "circle", symbolSize: 5, emphasis: { disabled: true },
            lineStyle: { color: "var(--yes)", width: 2 }, itemStyle: { color: "var(--yes)" },
            markLine: periods.includes(since) ? {
              silent: true, symbol: "none", data: [{ xAxis: since }], lineStyle: { color: "var(--alarm)", width: 2, type: [5, 4] },
              label: { formatter: "the fall began", color: "var(--alarm)", fontFamily: font, fontSize: 12 },
            } : undefined,
          },
        ],
      },
    };
  }

  // Yeses minute by minute as bars, those expected as a line with its band, and the minute in which something began.
  function hour({ periods, expected, low, high, came, since }, width) {
    const narrow = width < 560;
    const tenth = (number) => number.toFixed(1);
    const plain = { type: "line", symbol: "none", silent: true, emphasis: { disabled: true } };
    const hidden = { ...plain, stack: "band", lineStyle: { opacity: 0 } };
    return {
      height: 280,
      option: {
        ...common,
        grid: { left: 48, right: 16, top: narrow ? 66 : 52, bottom: 28 },
        legend: { top: 0, left: 0, textStyle: text, data: ["came", "expected", { name: "usual by chance", icon: "rect" }], selectedMode: false },
        tooltip: tooltip({
          trigger: "axis", axisPointer: { type: "line", lineStyle: { color: muted } },
          formatter: (items) => {
            const place = items[0].dataIndex;
            return box([
              `${periods[place]} UTC`,
              `${counts.format(Math.round(came[place]))} came`,
              `${tenth(expected[place])} expected (${tenth(low[place])} to ${tenth(high[place])} by chance)`,
            ]);
          },
        }),
        xAxis: { type: "category", data: periods, axisLabel: { ...text, fontSize: 12, color: muted, hideOverlap: true }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false } },
        yAxis: { type: "value", min: 0, minInterval: 1, axisLabel: { ...text, fontSize: 12, color: muted, formatter: (value) => counts.format(value) }, splitLine: { lineStyle: { color: line } } },
        series: [
          {
            type: "bar", name: "came", data: came, barCategoryGap: "25%", emphasis: { disabled: true }, itemStyle: { color: "var(--yes)" },
            markLine: since ? {
              silent: true, symbol: "none", data: [{ xAxis: since }], lineStyle: { color: "var(--alarm)", width: 2, type: [5, 4] },
              label: { formatter: "the fall began", color: "var(--alarm)", fontFamily: font, fontSize: 12 },
            } : undefined,
          },
          { ...hidden, name: "low", data: low },
          { ...hidden, name: "usual by chance", data: high.map((end, place) => end - low[place]), areaStyle: { color: ink, opacity: 0.12 }, itemStyle: { color: muted } },
          { ...plain, name: "expected", data: expected, lineStyle: { color: ink, width: 2 }, itemStyle: { color: ink } },
        ],
      },
    };
  }

  const drawings = { flow, trend: lines, days: bars, funnel, spread, around, hour };

  function draw(place, facts, kind) {
    const drawn = drawings[kind](facts, place.clientWidth || place.parentElement.clientWidth - 48);
    place.style.height = `${drawn.height}px`;
    place.style.display = "block";
    const width = place.clientWidth;
    let chart = echarts.getInstanceByDom ? echarts.getInstanceByDom(place) : place.chart;
    if (!chart) {
      chart = echarts.init(place, null, { renderer: "svg", width, height: drawn.height });
      place.chart = chart;
    } else {
      chart.resize({ width, height: drawn.height });
    }
    const { height, option } = drawings[kind](facts, width);
    chart.resize({ width, height });
    chart.setOption(option, true);
    if (drawn.after) drawn.after(chart, place);
  }

  function drawAll(facts) {
    for (const place of document.querySelectorAll(".chart")) {
      const of = facts[place.dataset.chart];
      if (of && (!of.periods || of.periods.length > 1)) draw(place, of, of.kind || place.dataset.chart);
    }
  }

  function copying() {
    if (!navigator.clipboard) return;
    for (const pre of document.querySelectorAll("pre.copy")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "plain";
      button.textContent = "Copy";
      button.addEventListener("click", () => navigator.clipboard.writeText(pre.textContent).then(
        () => { button.textContent = "Copied"; }, () => { button.textContent = "The browser does not let it"; }));
      pre.before(button);
    }
  }

  copying();
  // On a phone the menu scrolls sideways.
  const here = document.querySelector(".top [aria-current]");
  if (here !== null) here.closest("nav").scrollLeft = here.offsetLeft - 24;
  const facts = document.getElementById("charts");
  if (facts !== null) {
    const found = JSON.parse(facts.textContent);
    drawAll(found);
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if (window.innerWidth === width) return;
      width = window.innerWidth;
      drawAll(found);
    });
  }
})();
