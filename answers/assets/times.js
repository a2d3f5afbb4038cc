// Says the times of a page in the viewer's zone, too; nothing where that is UTC.
(() => {
  "use strict";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (new Date().getTimezoneOffset() === 0 && ["UTC", "Etc/UTC", "GMT"].includes(zone)) return;
  const format = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  for (const time of document.querySelectorAll("time")) {
    const local = document.createElement("span");
    local.className = "local";
    local.textContent = ` (${format.format(new Date(time.dateTime))} your time)`;
    time.append(local);
  }
  document.getElementById("zone").textContent = `, with your own (${zone}) in brackets`;
})();
