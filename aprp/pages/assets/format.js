// Numbers, sizes, rates and times in words for people. Pure: values in, text out.
"use strict";

const Format = (() => {
  const count = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const decimal = new Intl.NumberFormat("en-US", {
    minimumFractionDigits: 2,
    maximumFractionDigits: 2,
  });
  const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];

  // Three figures: 1.23, 12.3, 123.
  function short(value) {
    if (value >= 100 || Number.isInteger(value)) return count.format(value);
    return value >= 1 ? value.toPrecision(3) : value.toFixed(2);
  }

  // Steps of 1024, as in the figures in plain sight: 1.20 GB.
  function size(bytes) {
    let unit = 0;
    let value = Math.max(bytes, 0);
    while (value >= 999.5 && unit < UNITS.length - 1) {
      value /= 1024;
      unit += 1;
    }
    return unit === 0 ? `${count.format(Math.round(value))} bytes` : `${short(value)} ${UNITS[unit]}`;
  }

  // Bytes a second.
  const rate = (bytes) => (bytes === null ? "–" : `${size(bytes)}/s`);

  // A share from 0 to 1, never 100 % before all is there: 62 %.
  function share(value) {
    const percent = value >= 1 ? 100 : Math.min(Math.floor(value * 100), 99);
    return `${percent} %`;
  }

  // How long something takes: 340 µs, 4.20 ms, 1.25 s.
  function delay(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds === 0) return "0 s";
    if (seconds < 0.001) return `${short(Math.round(seconds * 1e6))} µs`;
    if (seconds < 1) return `${short(seconds * 1000)} ms`;
    return `${short(seconds)} s`;
  }

  // How long something has been going on: 42 s, 3:07, 2:00:05.
  function duration(seconds) {
    const whole = Math.max(Math.floor(seconds), 0);
    if (whole < 60) return `${whole} s`;
    const two = (value) => String(value).padStart(2, "0");
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    const rest = two(whole % 60);
    return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
  }

  // How long ago: now, 42 s ago, 3 min ago, 5 h ago, 12 days ago.
  function ago(seconds) {
    if (seconds < 2) return "now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 2 * 86400) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} days ago`;
  }

  // How often, as a multiple of the whole: 0, 0.25, 12.
  const times = (value) => (value === 0 ? "0×" : `${value < 0.01 ? "<0.01" : short(value)}×`);

  // bytes=0-99 as it is sent, in sizes: from 1.20 MB to 3.40 MB.
  function range(text) {
    const match = /^bytes=(\d+)-(\d+)$/.exec(text ?? "");
    return match ? `${size(Number(match[1]))} to ${size(Number(match[2]) + 1)}` : text ?? "all";
  }

  // A name as people read it: a b.mp4 for a%20b.mp4. What would not be seen, or would be taken for
  // something else, stays as it is: controls, marks of direction, %2F, %25.
  function name(text) {
    return text.replace(/(?:%[0-9a-f]{2})+/gi, (run) => {
      try {
        return decodeURI(run.replaceAll("%25", "%2525")).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, encodeURIComponent);
      } catch {
        return run; // no UTF-8
      }
    });
  }

  const plural = (number, one, many) => `${count.format(number)} ${number === 1 ? one : many}`;

  const clock = (date) => date.toLocaleTimeString("en-GB");

  // The markup that the server writes: text of a figure by the name of its kind.
  const kinds = {
    text: String,
    count: (value) => count.format(value),
    decimal: (value) => decimal.format(value),
    percent: (value) => `${(value * 100).toFixed(1)}%`,
    size,
  };

  return { ago, clock, count: kinds.count, delay, duration, kinds, name, plural, range, rate, share, size, times };
})();
