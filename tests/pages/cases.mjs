// Named cases, one behind the other, and their counts.

export class Cases {
  passed = 0;
  failed = 0;

  async run(name, body) {
    try {
      const said = await body();
      this.passed += 1;
      console.log(`ok ${name}${said ? `: ${said}` : ''}`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAILED ${name}: ${error.message}`);
    }
  }

  // Prints the counts, and ends the process with 1 if a case failed.
  end() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    process.exit(this.failed > 0 || this.passed === 0 ? 1 : 0);
  }
}

export function must(condition, what) {
  if (!condition) throw new Error(what);
}
export function mustEqual(got, expected, what) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
  must(a === b, `${what}: ${a}, expected ${b}`);
}

// The largest difference of two rows of numbers, relative to the larger one or to 1.
export function apart(a, b) {
  mustEqual(a.length, b.length, 'the numbers');
  return a.reduce((most, value, i) => {
    must(Number.isFinite(value) && Number.isFinite(b[i]), `${value} and ${b[i]}`);
    return Math.max(most, Math.abs(value - b[i]) / Math.max(1, Math.abs(value), Math.abs(b[i])));
  }, 0);
}

// What every page must be, at every width: nothing but itself is loaded, nothing fails, nothing is
// cut, every control has a name.
export async function mustBehave(page, url) {
  mustEqual(page.problems, [], 'console');
  const own = (address) => address === url || /^(blob|data):/.test(address);
  mustEqual(page.requests.filter((address) => !own(address)), [], 'requests');
  const [needed, given] = await page.evaluate(
      '[document.documentElement.scrollWidth, document.documentElement.clientWidth]');
  must(needed <= given, `the page is ${needed} px wide in a window of ${given}`);
  const nameless = (await page.controls()).filter(({name}) => name.trim() === '');
  mustEqual(nameless, [], 'controls without a name');
  mustEqual(await page.evaluate(`(${faintTexts})()`), [], 'texts of too little contrast');
}

// Runs in the page: texts whose contrast is below 4.5 (3 for large ones; WCAG 2.1, AA).
function faintTexts() {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((v) => {
      const c = v / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  // What lies behind an element, translucent layers mixed in.
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      layers.push(colour);
      if ((colour[3] ?? 1) === 1) break;
    }
    const mixed = layers.reverse().reduce((below, [r, g, b, a = 1]) => {
      return [r, g, b].map((v, i) => a * v + (1 - a) * below[i]);
    }, [255, 255, 255]);
    return `rgb(${mixed.join()})`;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    if (text === '' || !element.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}))
      continue;
    if (element.closest('script, style, title, option, :disabled, .stopped')) continue;
    const style = getComputedStyle(element);
    const inPicture = element instanceof SVGElement;
    if (inPicture && element.closest('.grid')) continue;  // cells have fills of their own
    const a = light(inPicture ? style.fill : style.color), b = light(behind(element));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 ||
        (parseFloat(style.fontSize) >= 18.6 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5))
      found.push(`${contrast.toFixed(1)}: ${text.slice(0, 40)} (${element.tagName}.${
          element.getAttribute('class')})`);
  }
  return [...new Set(found)].slice(0, 8);
}
