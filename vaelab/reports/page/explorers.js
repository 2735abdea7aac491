// Explorers: each is a compressed page, which is inflated into a frame when the reader comes to it.
async function inflated(text) {
  const bytes = new Uint8Array(Math.floor(text.length * 7 / 8));
  for (let i = 0, to = 0, bits = 0, held = 0; i < text.length; i++) {  // letters of seven bits
    held = (held & 127) << 7 | (text.charCodeAt(i) ^ 64) & 127;
    bits += 7;
    if (bits >= 8) bytes[to++] = held >> (bits -= 8);
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).text();
}

for (const figure of all(".explorer")) {
  const packed = figure.querySelector(".packed");
  const stage = figure.querySelector(".stage");
  const button = figure.querySelector(".open");
  if (!packed) continue;
  let opened = false;
  const open = async () => {
    if (opened) return;
    opened = true;
    const frame = made("iframe", "", {title: stage.dataset.title, sandbox: "allow-scripts allow-downloads"});
    frame.srcdoc = await inflated(packed.textContent);
    stage.querySelector("img").style.display = "none";
    stage.append(frame);
    button.hidden = true;
  };
  button.hidden = false;
  button.addEventListener("click", open);
  if ("open" in stage.dataset) {
    const seen = new IntersectionObserver(entries => {
      if (!entries.some(entry => entry.isIntersecting)) return;
      seen.disconnect();
      open();
    });
    seen.observe(stage);
  }
}
