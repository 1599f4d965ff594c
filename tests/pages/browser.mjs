// A headless Chromium, driven over its debugging pipe (file descriptors 3 and 4): no package, no
// port.
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

const OPTIONS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
  '--remote-debugging-pipe'
];

export class Browser {
  constructor(program) {
    this.profile = mkdtempSync(join(tmpdir(), 'hrm-browser-'));
    this.process = spawn(
        program, [...OPTIONS, `--user-data-dir=${this.profile}`, 'about:blank'],
        {stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe']});
    this.waiting = new Map();
    this.pages = new Map();  // by session
    this.count = 0;
    let rest = '';
    this.process.stdio[4].setEncoding('utf8');
    this.process.stdio[4].on('data', (text) => {
      const messages = (rest + text).split('\0');
      rest = messages.pop();
      messages.forEach((message) => this.receive(JSON.parse(message)));
    });
    const ended = (why) => {
      for (const {reject} of this.waiting.values()) reject(new Error(`the browser ended: ${why}`));
      this.waiting.clear();
    };
    this.process.on('exit', ended);
    this.process.on('error', ended);
  }

  receive(message) {
    if (message.id === undefined) return this.pages.get(message.sessionId)?.hear(message);
    const {resolve, reject} = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.error)
      reject(new Error(message.error.message));
    else
      resolve(message.result);
  }

  send(method, params = {}, sessionId = undefined) {
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.count, {resolve, reject});
      this.process.stdio[3].write(
          `${JSON.stringify({id: this.count, method, params, sessionId})}\0`);
    });
  }

  // A page of so many pixels; without a network unless the address is one.
  async open(url, {width = 1180, height = 900, dark = false} = {}) {
    const {targetId} = await this.send('Target.createTarget', {url: 'about:blank'});
    const {sessionId} = await this.send('Target.attachToTarget', {targetId, flatten: true});
    const page = new Page(this, targetId, sessionId);
    this.pages.set(sessionId, page);
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.send(`${domain}.enable`);
    const offline = !url.startsWith('http');
    await page.send(
        'Network.emulateNetworkConditions',
        {offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1});
    await page.send(
        'Emulation.setDeviceMetricsOverride',
        {width, height, deviceScaleFactor: 1, mobile: width < 600});
    await page.send('Emulation.setEmulatedMedia', {
      features: [{name: 'prefers-color-scheme', value: dark ? 'dark' : 'light'}],
    });
    await page.go(url);
    return page;
  }

  async close() {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    await this.send('Browser.close').catch(() => {});
    await ended;
    rmSync(this.profile, {recursive: true, force: true, maxRetries: 5, retryDelay: 200});
  }
}

class Page {
  constructor(browser, targetId, sessionId) {
    this.browser = browser;
    this.targetId = targetId;
    this.sessionId = sessionId;
    this.problems = [];  // errors and warnings of the console
    this.requests = [];  // addresses
  }

  send(method, params) {
    return this.browser.send(method, params, this.sessionId);
  }

  hear({method, params}) {
    if (method === 'Runtime.exceptionThrown') {
      const {exception, text} = params.exceptionDetails;
      this.problems.push(exception?.description ?? text);
    }
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning'].includes(params.type))
      this.problems.push(params.args.map((arg) => arg.value ?? arg.description).join(' '));
    if (method === 'Log.entryAdded' && params.entry.level === 'error')
      this.problems.push(params.entry.text);
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
  }

  async go(url) {
    const loaded = new Promise((resolve) => {
      const hear = this.hear;
      this.hear = (message) => {
        hear.call(this, message);
        if (message.method !== 'Page.loadEventFired') return;
        this.hear = hear;
        resolve();
      };
    });
    const {errorText} = await this.send('Page.navigate', {url});
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await loaded;
  }

  // The value of an expression, awaited.
  async evaluate(expression) {
    const {result, exceptionDetails} =
        await this.send('Runtime.evaluate', {expression, awaitPromise: true, returnByValue: true});
    if (exceptionDetails)
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  // Waits until an expression is true, and returns its value.
  async until(expression, seconds = 60) {
    const end = Date.now() + 1000 * seconds;
    for (;;) {
      const value = await this.evaluate(expression);
      if (value) return value;
      if (Date.now() > end) throw new Error(`not within ${seconds} s: ${expression}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  // A key with a name, as 'ArrowRight', or a character.
  async key(key) {
    const text = key.length === 1 ? key : undefined;
    await this.send('Input.dispatchKeyEvent', {type: 'keyDown', key, text});
    await this.send('Input.dispatchKeyEvent', {type: 'keyUp', key});
  }

  // Files of the page that it offers for download go to `folder`.
  downloadTo(folder) {
    return this.browser.send(
        'Browser.setDownloadBehavior', {behavior: 'allow', downloadPath: folder});
  }

  // Every control: {role, name}, as a screen reader tells of it.
  async controls() {
    const {nodes} = await this.send('Accessibility.getFullAXTree');
    const roles = ['button', 'textbox', 'combobox', 'slider', 'spinbutton', 'gridcell', 'link'];
    return nodes.filter((node) => !node.ignored && roles.includes(node.role?.value))
        .map((node) => ({role: node.role.value, name: node.name?.value ?? ''}));
  }

  async screenshot(file) {
    const {cssContentSize: {width, height}} = await this.send('Page.getLayoutMetrics');
    const {data} = await this.send('Page.captureScreenshot', {
      format: 'png',
      captureBeyondViewport: true,
      clip: {x: 0, y: 0, width, height, scale: 1},
    });
    writeFileSync(file, Buffer.from(data, 'base64'));
  }

  close() {
    this.browser.pages.delete(this.sessionId);
    return this.browser.send('Target.closeTarget', {targetId: this.targetId});
  }
}
