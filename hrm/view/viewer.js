// What the pages of the project share: going through the states of something, and choosing what
// is shown.

// A number from 0 to `count` that buttons, a slider, keys and the clock move.
export class Player {
  // parts: the slider `position`, and the buttons first, back, play, next and last as far as there
  // are any. show(at) draws a state.
  constructor(parts, show, milliseconds = 350) {
    this.parts = parts;
    this.show = show;
    this.milliseconds = milliseconds;
    this.at = this.count = 0;
    this.timer = null;
    const moves = {
      first: () => 0,
      back: () => this.at - 1,
      next: () => this.at + 1,
      last: () => this.count,
    };
    for (const [name, to] of Object.entries(moves))
      if (parts[name]) parts[name].onclick = () => this.moveTo(to());
    if (parts.play) parts.play.onclick = () => this.play(this.timer === null);
    parts.position.oninput = () => this.moveTo(Number(parts.position.value));
  }

  // Another thing to go through, from `at` on.
  begin(count, at) {
    this.count = count;
    this.parts.position.max = count;
    this.goTo(at);
  }

  // As the user does: what plays stops.
  moveTo(at) {
    this.play(false);
    this.goTo(at);
  }
  goTo(at) {
    this.at = Math.max(0, Math.min(this.count, at));
    this.parts.position.value = this.at;
    this.show(this.at);
  }

  // From the start again if it is at the end.
  play(on) {
    clearInterval(this.timer);
    this.timer = null;
    if (on) {
      if (this.at === this.count) this.goTo(0);
      this.timer = setInterval(() => {
        if (this.at < this.count)
          this.goTo(this.at + 1);
        else
          this.play(false);
      }, this.milliseconds);
    }
    const {play} = this.parts;
    if (!play) return;
    play.textContent = on ? 'Stop' : 'Play';
    const label = play.getAttribute('aria-label');
    if (label) play.setAttribute('aria-label', label.replace(/^\w+/, play.textContent));
  }

  // Whether the key was one of the player's: arrows, Home, End, space.
  key(key) {
    const to = {ArrowLeft: this.at - 1, ArrowRight: this.at + 1, Home: 0, End: this.count}[key];
    if (to !== undefined)
      this.moveTo(to);
    else if (key === ' ')
      this.play(this.timer === null);
    else
      return false;
    return true;
  }
}

// Every puzzle of a report: its frames, one of which is seen.
function playPuzzles() {
  for (const puzzle of document.querySelectorAll('.puzzle')) {
    const frames = [...puzzle.querySelectorAll('.frame')];
    const note = puzzle.querySelector('output');
    const parts = {
      play: puzzle.querySelector('button'),
      position: puzzle.querySelector('input'),
    };
    const start = Number(parts.position.value);
    const player = new Player(parts, (at) => {
      frames.forEach((frame, i) => frame.classList.toggle('on', i === at));
      note.textContent = frames[at].dataset.note;
      parts.position.setAttribute('aria-valuetext', frames[at].dataset.note);
    }, 700);
    player.begin(frames.length - 1, start);
  }
}

// Buttons with data-show: all puzzles, or those that are solved or not.
function choosePuzzles() {
  const buttons = [...document.querySelectorAll('[data-show]')];
  for (const button of buttons)
    button.onclick = () => {
      buttons.forEach((other) => other.setAttribute('aria-pressed', String(other === button)));
      for (const puzzle of document.querySelectorAll('.puzzle'))
        puzzle.hidden =
            button.dataset.show !== 'all' && button.dataset.show !== puzzle.dataset.state;
    };
}

// The names of a legend show and hide the lines of the charts beside it.
function chooseSeries() {
  for (const button of document.querySelectorAll('.legend [data-series]'))
    button.onclick = () => {
      const on = button.getAttribute('aria-pressed') !== 'true';
      button.setAttribute('aria-pressed', String(on));
      for (const mark of button.closest('.charts').querySelectorAll(
               `svg .${button.dataset.series}`))
        mark.classList.toggle('off', !on);
    };
}

playPuzzles();
choosePuzzles();
chooseSeries();
