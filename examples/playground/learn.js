// Seven captions in reading order. Each lights up the part of the page that it speaks of.

import {element} from './board.js';

export const CAPTIONS = [
  [
    'A puzzle is a row of tokens', '#board',
    'The model does not see a board. It sees 16 numbers in a row (36 for the larger puzzle): 1 for an open cell, 2 for the ' +
        'digit 1, and so on. That there are rows, columns and boxes it has to find out from examples.'
  ],
  [
    'A state is what it thinks', '#board',
    'For every cell the model keeps a list of numbers, its state, and changes it again and again. A small head reads a digit ' +
        'off the state of each cell. The darker a cell is, the surer the head is of its digit.'
  ],
  [
    'L works, H decides', '#strip .updates',
    'There are two states, and a small network for each. L works out the details: it reads its own state, that of H and the ' +
        'puzzle. H draws conclusions: it reads its own state and that of L. The bar below a picture says how far the state moved.'
  ],
  [
    'A segment is a few updates', '#strip .segment',
    'L, L, H, L, L, H: these six updates are one segment. Behind it the model gives a whole answer. The next segment goes on ' +
        'from the same states and improves it. (A picture behind an L shows what H would answer if it were asked now.)'
  ],
  [
    'Deep supervision: every segment is taught', '#train',
    'In training, the answer behind every segment is compared with the solution, and the weights take a step. So the model ' +
        'learns to improve an answer from wherever it is, not to be right at once.'
  ],
  [
    'The one-step gradient', '#train',
    'To know how to change the weights one would have to look back through all updates. HRM looks back through the last update ' +
        'of L and of H only, and takes the rest for given. The cosine below says how close that comes to the full gradient: 1 ' +
        'would be the same direction.'
  ],
  [
    'Halting', '#strip .halting',
    'Easy puzzles need fewer segments. A second head says how likely it is that the answer is right now (halt), and after more ' +
        'segments (go on). Where the first is larger, the model stops. Its segments after that are shown in grey.'
  ],
];

export class Learn {
  constructor(buttons, caption, onChoose) {
    this.caption = caption;
    this.onChoose = onChoose;
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
    this.caption.replaceChildren(
        ...(title ? [element('h3', {}, title)] : []), element('p', {}, text));
  }
  // What a caption speaks of may have been drawn anew.
  light() {
    document.querySelectorAll('.lit').forEach((node) => node.classList.remove('lit'));
    const target = CAPTIONS[this.number - 1]?.[1];
    if (target) document.querySelector(target)?.classList.add('lit');
  }
}
