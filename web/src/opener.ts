// Inflates the program of the page, and runs it.

import { inflated } from "./packed";

inflated(document.getElementById("program")!.textContent!)
  .then((bytes) => {
    const script = document.createElement("script");
    script.id = "source"; // also of the worker: see start.ts
    script.textContent = new TextDecoder().decode(bytes);
    document.body.append(script);
  })
  .catch(() => {
    const failure = document.getElementById("failure")!;
    failure.textContent = "This browser is too old for the page: it cannot inflate what the page holds.";
    failure.hidden = false;
  });
