'use strict';

const part = (id) => document.getElementById(id);
const painting = part('painting');
const pen = painting.getContext('2d');
const HOLE = '#e6007a';

let limits = null;
let file = null; // the photograph, as it was chosen
let strokes = []; // {erase, width, points}, in the photograph's pixels
let stroke = null; // the one that is being painted
let erasing = false;
let running = null; // an AbortController while something is being filled
let urls = []; // of the results' blobs

function say(sentence, bad = false) {
  part('status').textContent = sentence;
  part('status').classList.toggle('bad', bad);
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function blobOf(text) {
  const bytes = atob(text);
  const content = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) content[i] = bytes.charCodeAt(i);
  return new Blob([content], { type: 'image/png' });
}

function urlOf(text) {
  const url = URL.createObjectURL(blobOf(text));
  urls.push(url);
  return url;
}

async function ask(path, form, signal) {
  const response = await fetch(path, form ? { method: 'POST', body: form, signal } : {});
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.problem || `The page's server answered ${response.status}.`);
  }
  return response;
}

function complain(error) {
  const lost = error instanceof TypeError;
  say(lost ? 'The page cannot reach its server; is tools/demo.py still running?' : error.message, true);
}

// models

async function listModels() {
  const answer = await (await ask('/models')).json();
  limits = answer.limits;
  part('limits').textContent = `PNG, JPEG, WebP, TIFF or BMP, up to ${limits.megapixels} megapixels and ${limits.megabytes} MB`;
  const learned = answer.models.find((model) => model.key.includes(':'));
  const checked = [learned && learned.key, 'telea'];
  for (const model of answer.models) {
    const box = make('input', { type: 'checkbox', name: 'model', value: model.key, checked: checked.includes(model.key) });
    const text = make('span', {}, make('b', { textContent: model.title }), make('small', { textContent: model.source }));
    part('models').append(make('label', { className: 'choice' }, box, text));
  }
  if (!learned) {
    const hint = 'No trained model was found: name folders or checkpoints with --models.';
    part('models').append(make('p', { className: 'faint', textContent: hint }));
  }
}

// the photograph

async function takePhoto(chosen) {
  if (!chosen || running) return;
  say('Reading the photograph …');
  try {
    if (limits && chosen.size > limits.megabytes * 1e6) {
      throw new Error(
        `The file has ${(chosen.size / 1e6).toFixed(1)} megabytes; up to ${limits.megabytes} are accepted. ` +
          'Make the photograph smaller, or start the page with a higher --max-upload-mb.',
      );
    }
    const form = new FormData();
    form.append('photo', chosen);
    const answer = await (await ask('/photo', form)).json();
    URL.revokeObjectURL(part('view').src);
    part('view').src = URL.createObjectURL(blobOf(answer.view));
    await part('view').decode();
    file = chosen;
    [painting.width, painting.height] = [answer.width, answer.height];
    const side = Math.min(answer.width, answer.height);
    Object.assign(part('size'), { min: 1, max: Math.ceil(side / 3) });
    part('size').value = Math.ceil(side / 10);
    part('stage').style.width = `min(100%, ${(70 * answer.width) / answer.height}vh)`;
    part('shape').textContent = `${answer.width} × ${answer.height} pixels.`;
    strokes = [];
    part('drop').hidden = true;
    part('editor').hidden = false;
    part('results').hidden = true;
    paint();
    say('Paint over what is to be filled.');
  } catch (error) {
    complain(error);
  }
  part('file').value = '';
}

// painting

function draw({ erase, width, points }) {
  pen.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
  pen.strokeStyle = HOLE;
  pen.lineWidth = width;
  pen.lineCap = pen.lineJoin = 'round';
  pen.beginPath();
  pen.moveTo(...points[0]);
  // a line to itself makes a click a dot
  for (const point of points) pen.lineTo(...point);
  pen.stroke();
}

function paint() {
  pen.clearRect(0, 0, painting.width, painting.height);
  strokes.forEach(draw);
  part('undo').disabled = part('clear').disabled = !strokes.length;
  part('fill').disabled = !file || Boolean(running);
}

function placeOf(event) {
  const box = painting.getBoundingClientRect();
  const scale = painting.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

function showCursor(event) {
  const box = painting.getBoundingClientRect();
  const side = (part('size').value * box.width) / painting.width;
  Object.assign(part('cursor').style, {
    left: `${event.clientX - box.left}px`,
    top: `${event.clientY - box.top}px`,
    width: `${side}px`,
    height: `${side}px`,
  });
  part('cursor').hidden = false;
}

painting.addEventListener('pointerdown', (event) => {
  if (event.button !== 0 || running) return;
  painting.setPointerCapture(event.pointerId);
  stroke = { erase: erasing, width: Number(part('size').value), points: [placeOf(event)] };
  draw(stroke);
});

painting.addEventListener('pointermove', (event) => {
  showCursor(event);
  if (!stroke) return;
  const start = stroke.points.at(-1);
  const added = (event.getCoalescedEvents?.() ?? []).map(placeOf);
  stroke.points.push(...added, placeOf(event));
  draw({ ...stroke, points: [start, ...added, placeOf(event)] });
});

function endStroke() {
  if (!stroke) return;
  strokes.push(stroke);
  stroke = null;
  paint();
}

painting.addEventListener('pointerup', endStroke);
painting.addEventListener('pointercancel', endStroke);
painting.addEventListener('pointerleave', () => (part('cursor').hidden = true));

function choosePen(erase) {
  erasing = erase;
  part('brush').setAttribute('aria-pressed', String(!erase));
  part('eraser').setAttribute('aria-pressed', String(erase));
}

part('brush').addEventListener('click', () => choosePen(false));
part('eraser').addEventListener('click', () => choosePen(true));
part('undo').addEventListener('click', () => {
  strokes.pop();
  paint();
});
part('clear').addEventListener('click', () => {
  strokes = [];
  paint();
});

// filling

function caption(title, source, more = []) {
  return make('figcaption', {}, make('strong', { textContent: title }), ' ', ...more, make('small', { textContent: source }));
}

function showResult(event) {
  const name = file.name.replace(/\.[^.]*$/, '');
  const model = event.title.replace(/[^\p{L}\p{N}]+/gu, '-');
  const link = make('a', { href: urlOf(event.file), download: `${name}-${model}.png`, textContent: 'Download PNG' });
  const about = `${event.seconds} s · ${event.source}`;
  const image = make('img', { src: urlOf(event.view), alt: `Filled by ${event.title}` });
  part('pictures').append(make('figure', { className: 'result' }, image, caption(event.title, about, [link])));
  if (!event.scales.length) return;
  const strip = make('div', { className: 'scales' });
  event.scales.forEach((scale, index) => {
    const last = event.scales.length - 1;
    const note = { 0: ' (coarsest)', [last]: ' (finest)' }[index] ?? '';
    const picture = make('img', { src: urlOf(scale), alt: `Scale ${last - index + 1} of ${event.title}` });
    strip.append(make('figure', {}, picture, make('figcaption', { textContent: `scale ${last - index + 1}${note}` })));
  });
  const heading = `Scales of ${event.title}, in the window around the largest hole`;
  part('scales').append(make('h3', { textContent: heading }), strip);
}

function showProblem(event) {
  const text = make('p', { className: 'bad problem', textContent: event.sentence });
  part('pictures').append(make('figure', {}, caption(event.title, event.source), text));
}

async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let parts = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const pieces = value.split('\n');
    while (pieces.length > 1) {
      yield JSON.parse(parts.join('') + pieces.shift());
      parts = [];
    }
    parts.push(pieces[0]);
  }
}

async function fill(keys) {
  const mask = await new Promise((done) => painting.toBlob(done, 'image/png'));
  const form = new FormData();
  form.append('photo', file);
  form.append('painting', mask, 'painting.png');
  keys.forEach((key) => form.append('models', key));
  if (part('refine').checked) form.append('refine', 'on');
  let [done, bad, ended] = [0, 0, false];
  const response = await ask('/fill', form, running.signal);
  for await (const event of linesOf(response)) {
    const filled = event.windows === 1 ? '1 window' : `${event.windows} windows`;
    if (event.kind === 'wait' && event.ahead) say(`Waiting; ${event.ahead} before this one.`);
    if (event.kind === 'loading') say(`${event.title}: loading …`);
    if (event.kind === 'filling') say(`${event.title}: ${filled} filled …`);
    if (event.kind === 'input') {
      const image = make('img', { src: urlOf(event.view), alt: 'Your photograph with the hole' });
      part('pictures').append(make('figure', {}, image, caption('Input', 'what is grey is filled')));
      part('results').hidden = false;
    }
    if (event.kind === 'result') showResult(event);
    if (event.kind === 'problem') showProblem(event);
    bad += event.kind === 'problem';
    done += event.kind === 'result' || event.kind === 'problem';
    if (event.kind !== 'wait') part('progress').value = done;
    ended = event.kind === 'end';
  }
  if (!ended || done < keys.length) throw new Error('The page was closed before everything was filled.');
  part('results').scrollIntoView({ behavior: 'smooth', block: 'nearest' });
  say(bad ? `Done; ${bad} of ${done} models could not be used, see below.` : 'Done; the results are below.', bad > 0);
}

part('settings').addEventListener('submit', async (submitted) => {
  submitted.preventDefault();
  if (running || !file) return;
  const keys = [...document.querySelectorAll('input[name=model]:checked')].map((box) => box.value);
  if (!keys.length) return say('Choose one or more models.', true);
  running = new AbortController();
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  part('pictures').replaceChildren();
  part('scales').replaceChildren();
  part('results').hidden = true;
  Object.assign(part('progress'), { hidden: false, max: keys.length });
  part('progress').removeAttribute('value');
  part('stop').hidden = false;
  part('other').disabled = true;
  paint();
  say('Sending …');
  try {
    await fill(keys);
  } catch (error) {
    if (error.name === 'AbortError') say('Stopped.');
    else complain(error);
  }
  running = null;
  part('progress').hidden = part('stop').hidden = true;
  part('other').disabled = false;
  paint();
});

part('stop').addEventListener('click', () => running?.abort());
part('file').addEventListener('change', () => takePhoto(part('file').files[0]));
part('other').addEventListener('click', () => part('file').click());
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('over');
});
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) document.body.classList.remove('over');
});
document.addEventListener('drop', (event) => {
  event.preventDefault();
  document.body.classList.remove('over');
  takePhoto(event.dataTransfer.files[0]);
});

listModels().catch(complain);
