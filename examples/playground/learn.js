// Seven captions in reading order. Each lights up the part of the page that it speaks of.

import {element} from './board.js';

export const CAPTIONS = [
  [
    'A puzzle is a row of tokens', '#board',
    'The model reads one number for each cell, called a token: 1 is an empty cell, 2 the ' +
        'digit 1, 3 the digit 2, and so on. The models of this page are also told the row and the ' +
        'column of a cell. Boxes, and the rules of Sudoku, they have to learn from examples.'
  ],
  [
    'The state is the model\'s memory', '#board',
    'For each cell the model keeps numbers, its state, and every update changes them. A ' +
        'small output layer, called a head, turns the state into a digit. The stronger the ' +
        'blue, the surer it is. Bold digits are given; even there you see the model\'s own ' +
        'answer.'
  ],
  [
    'L and H take turns', '#strip .updates',
    'There are two states, L and H, each with a small network of its own. L\'s network ' +
        'reads L, H and the puzzle; H\'s reads H and L. The idea is that L works on details ' +
        'and H draws conclusions. The bar below a picture says how much that state changed.'
  ],
  [
    'A segment is a few updates', '#strip .segment',
    'Here the updates {updates} are one segment; each H ends a cycle. After the last one an ' +
        'answer is read from H. The next segment goes on from the same states and may improve ' +
        'it. A picture of L shows what H would answer if it were asked now.'
  ],
  [
    'Deep supervision: every segment is taught', '#train',
    'In training, the answer after each segment is compared with the solution, and the ' +
        'weights are adjusted at once. So the model learns to improve an unfinished answer, ' +
        'not only to be right immediately. The HRM paper calls this deep supervision.'
  ],
  [
    'The one-step gradient', '#train',
    'The gradient says how each weight affects the error. The full one goes back through ' +
        'all updates of a segment. HRM goes back through the last update of L and of H only. ' +
        'While a model trains, the cosine below compares the rule you chose with the full ' +
        'gradient; 1 is the same direction.'
  ],
  [
    'Halting', '#strip .halting',
    'A second head estimates the chance that the answer is right already (halt), and that ' +
        'it will be after more segments (go on). By the model\'s own rule it stops when halt ' +
        'is the larger one. Later segments are computed here all the same, but shown faintly.'
  ],
];

export class Learn {
  constructor(buttons, caption, onChoose) {
    this.caption = caption;
    this.onChoose = onChoose;
    this.updates = '';  // of a segment of the model that is watched
    this.buttons = CAPTIONS.map(
        ([title], i) => element(
            'button', {
              type: 'button',
              'aria-label': `${i + 1}: ${title}`,
              title,
              onclick: () => onChoose(i + 1),
            },
            String(i + 1)));
    buttons.replaceChildren(
        ...this.buttons,
        element(
            'button', {
              type: 'button',
              onclick: () => onChoose(this.number === CAPTIONS.length ? 1 : this.number + 1),
            },
            'Next'));
  }
  // From 1; 0: none.
  show(number) {
    this.number = number;
    this.buttons.forEach((button, i) => button.setAttribute('aria-pressed', i + 1 === number));
    this.light();
    const [title, , text] = CAPTIONS[number - 1] ??
        ['', '', 'Press 1 for the first step, or look around by yourself below.'];
    const parts = [element('p', {}, text.replace('{updates}', this.updates))];
    if (title) {
      parts.unshift(element('h3', {}, title));
      const show = () => document.querySelector('.lit')?.scrollIntoView({block: 'center'});
      parts.push(element('button', {type: 'button', onclick: show}, 'Show me'));
    }
    this.caption.replaceChildren(...parts);
  }
  // What a caption speaks of may have been drawn anew.
  light() {
    document.querySelectorAll('.lit').forEach((node) => node.classList.remove('lit'));
    const target = CAPTIONS[this.number - 1]?.[1];
    if (target) document.querySelector(target)?.classList.add('lit');
  }
}
