// The board: cells as buttons in a grid, and small boards of a strip as SVG.

export const SVG = 'http://www.w3.org/2000/svg';

export function element(tag, attributes = {}, ...children) {
  const node =
      tag === 'svg' || ['rect', 'line', 'polyline', 'text', 'title', 'circle'].includes(tag) ?
      document.createElementNS(SVG, tag) :
      document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (name in node && typeof value === 'function')
      node[name] = value;
    else if (value !== false && value !== null && value !== undefined)
      node.setAttribute(name, value === true ? '' : value);
  node.append(...children);
  return node;
}

// Digit d is token d + 1; token 1 is an open cell.
export const textOf = (token) => token > 1 ? String(token - 1) : '';

// The most likely token of every cell, and its probability.
export function bestOf(state, vocab) {
  const cells = state.probabilities.length / vocab, tokens = [], sure = [];
  for (let cell = 0; cell < cells; ++cell) {
    const row = state.probabilities.subarray(cell * vocab, (cell + 1) * vocab);
    let best = 0;
    for (let token = 1; token < vocab; ++token)
      if (row[token] > row[best]) best = token;
    tokens.push(best);
    sure.push(row[best]);
  }
  return {tokens, sure};
}

const shade = (probability) => `rgba(var(--sure), ${(0.62 * probability ** 1.5).toFixed(3)})`;

export class Board {
  constructor(parent, {onCell, onDigit}) {
    this.parent = parent;
    this.onCell = onCell;
    this.onDigit = onDigit;
    this.cells = [];
  }

  // For boards of `side` with boxes of so many rows and columns.
  layOut(side, boxRows, boxCols) {
    this.side = side;
    this.grid = element('div', {
      class: 'board',
      role: 'grid',
      'aria-label': `${side}x${side} Sudoku`,
      style: `grid-template-columns: repeat(${side}, 1fr); container-type: inline-size`
    });
    this.cells = Array.from({length: side * side}, (_, cell) => {
      const row = Math.floor(cell / side), column = cell % side;
      const classes = ['cell'];
      if ((column + 1) % boxCols === 0 && column + 1 < side) classes.push('box-right');
      if ((row + 1) % boxRows === 0 && row + 1 < side) classes.push('box-below');
      const button = element('button', {
        type: 'button',
        class: classes.join(' '),
        tabindex: cell === 0 ? 0 : -1,
        onclick: () => this.onCell(cell),
        onkeydown: (event) => this.key(event, cell)
      });
      this.grid.append(button);
      return button;
    });
    this.parent.replaceChildren(this.grid);
  }

  // Arrows go from cell to cell; digits, and 0, . or backspace for an open cell, change the puzzle.
  key(event, cell) {
    const step =
        {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.side, ArrowDown: this.side}[event.key];
    if (step !== undefined) {
      const row = Math.floor(cell / this.side), to = cell + step;
      const stays = Math.abs(step) > 1 || Math.floor(to / this.side) === row;
      if (to >= 0 && to < this.cells.length && stays) {
        this.cells.forEach((button) => button.tabIndex = -1);
        this.cells[to].tabIndex = 0;
        this.cells[to].focus();
      }
    } else if (/^[1-9]$/.test(event.key) && Number(event.key) <= this.side) {
      this.onDigit(cell, event.key);
    } else if (['0', '.', 'Backspace', 'Delete'].includes(event.key)) {
      this.onDigit(cell, '.');
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  // puzzle: tokens; state and before: of a trace; solution: tokens or null; attention: shares of
  // all cells of what the chosen one reads, or null.
  show({puzzle, state, before, vocab, solution, chosen, attention}) {
    const now = bestOf(state, vocab), then = before ? bestOf(before, vocab) : null;
    this.cells.forEach((button, cell) => {
      const given = puzzle[cell] > 1, token = now.tokens[cell];
      const changed = then !== null && then.tokens[cell] !== token;
      const wrong = solution !== null && token !== solution[cell];
      button.textContent = textOf(token);
      button.classList.toggle('given', given);
      button.classList.toggle('changed', changed);
      button.classList.toggle('wrong', wrong);
      button.setAttribute('aria-pressed', chosen === cell);
      button.style.background = attention ?
          `rgba(var(--amber), ${Math.min(1, attention[cell] * 2).toFixed(3)})` :
          shade(now.sure[cell]);
      const words = [
        `row ${Math.floor(cell / this.side) + 1}, column ${cell % this.side + 1}`,
        `${textOf(token) || 'open'}, ${Math.round(100 * now.sure[cell])} % sure`
      ];
      if (given) words.push(`given ${textOf(puzzle[cell])}`);
      if (changed) words.push('changed');
      if (wrong) words.push('differs from the solution');
      if (attention) words.push(`read with ${(100 * attention[cell]).toFixed(1)} %`);
      button.setAttribute('aria-label', words.join('; '));
      button.title = words.slice(1).join('; ');
    });
  }
}

// A state as a picture of `side` x `side` squares: shades say how sure a cell is, rings what
// changed.
export function picture(state, before, vocab, side, solution) {
  const now = bestOf(state, vocab), then = before ? bestOf(before, vocab) : null;
  const svg = element('svg', {viewBox: `0 0 ${side} ${side}`, 'aria-hidden': true});
  now.tokens.forEach((token, cell) => {
    const x = cell % side, y = Math.floor(cell / side);
    svg.append(element('rect', {
      x: x + .04,
      y: y + .04,
      width: .92,
      height: .92,
      rx: .12,
      style: `fill: ${shade(Math.max(.15, now.sure[cell]))}`
    }));
    if (then !== null && then.tokens[cell] !== token)
      svg.append(element('rect', {
        x: x + .12,
        y: y + .12,
        width: .76,
        height: .76,
        rx: .08,
        style: 'fill: none; stroke: rgb(var(--amber)); stroke-width: .16'
      }));
    if (solution !== null && token !== solution[cell])
      svg.append(element('circle', {cx: x + .5, cy: y + .5, r: .16, style: 'fill: var(--wrong)'}));
  });
  return svg;
}
