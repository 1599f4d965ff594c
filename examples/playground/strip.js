// All segments below each other, each as the row of its updates: L L H L L H.

import {element, picture} from './board.js';

const percent = (value) => `${Math.round(100 * value)} %`;

function meter(name, value, kind) {
  return [
    element('span', {}, `${name} ${percent(value)}`),
    element(
        'span', {class: `meter ${kind}`},
        element('i', {style: `width: ${(100 * value).toFixed(1)}%`}))
  ];
}

export class Strip {
  constructor(parent, onUpdate) {
    this.parent = parent;
    this.onUpdate = onUpdate;
    this.buttons = [];
  }

  // halt: the segment (from 1) at which the rule stops; 0: at none.
  show({trace, vocab, side, solution, halt}) {
    this.buttons = [];
    let before = trace.start;
    const rows = trace.segments.map((segment, s) => {
      const updates = element('div', {class: 'updates'});
      segment.updates.forEach((state, u) => {
        const number = this.buttons.length + 1, size = Math.min(1, state.change);
        const button = element(
            'button', {
              type: 'button',
              class: `update ${state.level}`,
              tabindex: -1,
              onclick: () => this.onUpdate(number),
              title: `${state.level} moved by ${(100 * state.change).toFixed(1)} %`,
              'aria-label': `segment ${s + 1}, update ${u + 1}: ${state.level}`,
            },
            picture(state, before, vocab, side, solution),
            element('span', {class: 'level'}, state.level),
            element('span', {class: 'bar', style: `width: ${(100 * size).toFixed(0)}%`}));
        this.buttons.push(button);
        updates.append(button);
        before = state;
      });
      const {halting} = segment, classes = ['segment'];
      if (halt > 0 && s + 1 > halt) classes.push('stopped');
      if (s + 1 === halt) classes.push('halts');
      return element(
          'div', {class: classes.join(' ')},
          element('span', {class: 'number', title: `segment ${s + 1}`}, String(s + 1)), updates,
          element(
              'div', {class: 'halting'}, ...meter('halt', halting.halt, ''),
              ...meter('go on', halting.goOn, 'go')));
    });
    this.parent.replaceChildren(...rows);
  }

  // The update (from 1; 0: none yet) that the board shows.
  mark(number) {
    this.buttons.forEach((button, i) => button.classList.toggle('current', i + 1 === number));
    const current = this.buttons[number - 1];
    if (!current) return;
    const row = current.closest('.segment'), {scrollTop, clientHeight} = this.parent;
    if (row.offsetTop - this.parent.offsetTop < scrollTop)
      this.parent.scrollTop = row.offsetTop - this.parent.offsetTop;
    else if (row.offsetTop - this.parent.offsetTop + row.offsetHeight > scrollTop + clientHeight)
      this.parent.scrollTop =
          row.offsetTop - this.parent.offsetTop + row.offsetHeight - clientHeight;
  }
}
