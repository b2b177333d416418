"use strict";
// Numbers of bytes as people read them; aprp/pages/sizes.py writes them the same way.

/** Write a number of bytes in powers of 1024, with three figures: 1.43 MiB, 572 KiB. */
function inBytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (count >= 1023.5 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  const decimals = unit === 0 || count >= 99.95 ? 0 : count >= 9.995 ? 1 : 2;
  return `${Number(count.toFixed(decimals))} ${units[unit]}`;
}
