// Small charts that grow while a model trains.

import {element} from './board.js';

const LEFT = 34, RIGHT = 236, TOP = 22, BOTTOM = 118;

// The least of 1, 2 and 5 times a power of ten that is not below the value.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10]
      .map((factor) => factor * power)
      .find((candidate) => candidate >= value * (1 - 1e-9));
}

export class Plot {
  // format: how a value is written.
  constructor(parent, name, {most = null, format = (value) => value.toPrecision(3)} = {}) {
    this.name = name;
    this.most = most;
    this.format = format;
    this.node = element('div', {class: 'plot'});
    parent.append(this.node);
    this.clear();
  }
  clear() {
    this.points = [];
    this.draw();
  }
  add(x, y) {
    this.points.push([x, y]);
    // Of many points every second one goes.
    if (this.points.length > 800) this.points = this.points.filter((_, i) => i % 2 === 0);
    this.draw();
  }
  draw() {
    const last = this.points.at(-1);
    const most =
        this.most ?? (last ? roundUp(Math.max(1e-9, ...this.points.map(([, y]) => y))) : 1);
    const end = Math.max(1, last?.[0] ?? 1);
    const x = (value) => LEFT + (RIGHT - LEFT) * value / end;
    const y = (value) => BOTTOM - (BOTTOM - TOP) * Math.max(0, Math.min(1, value / most));
    const label = last ? `${this.name}: ${this.format(last[1])}` : `${this.name}: no value yet`;
    const svg = element(
        'svg', {viewBox: '0 0 250 140', role: 'img', 'aria-label': label},
        element(
            'text', {class: 'name', x: 0, y: 12},
            last ? `${this.name}  ${this.format(last[1])}` : this.name));
    for (const share of [0, .5, 1]) {
      svg.append(
          element(
              'line',
              {class: 'axis', x1: LEFT, x2: RIGHT, y1: y(share * most), y2: y(share * most)}),
          element(
              'text', {x: LEFT - 5, y: y(share * most) + 4, 'text-anchor': 'end'},
              this.format(share * most)));
    }
    svg.append(element('text', {x: RIGHT, y: 134, 'text-anchor': 'end'}, `${Math.round(end)} s`));
    if (this.points.length > 0)
      svg.append(element('polyline', {
        points: this.points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(' ')
      }));
    this.node.replaceChildren(svg);
  }
}
