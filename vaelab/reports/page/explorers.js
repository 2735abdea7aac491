// Explorers: each is a compressed page, which is inflated into a frame when the reader comes to it.
async function inflated(text) {
  const bytes = Uint8Array.from(atob(text.trim()), letter => letter.charCodeAt(0));
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
