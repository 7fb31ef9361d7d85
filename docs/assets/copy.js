// Copies the commands of a console block without their prompts and output. The theme's own handler
// copies the button's data-clipboard-text if there is one.
document.addEventListener(
  "click",
  (event) => {
    const button = event.target.closest?.("[data-clipboard-target]");
    const code = button && document.querySelector(button.dataset.clipboardTarget);
    if (!code?.closest(".language-console")) return;
    const lines = code.textContent.split("\n");
    const commands = lines.filter((line) => /^[$#] /.test(line)).map((line) => line.slice(2));
    button.dataset.clipboardText = commands.join("\n");
  },
  true,
);
