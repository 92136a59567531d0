// What the pages do beyond HTML. All of them work without it.
(function () {
  "use strict";

  // Menus are <details data-menu>: only one is open, and a click elsewhere or Escape closes it.
  function close(except) {
    document.querySelectorAll("details[data-menu][open]").forEach(function (menu) {
      if (menu !== except) menu.open = false;
    });
  }
  document.addEventListener("click", function (event) {
    close(event.target.closest("details[data-menu]"));
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") return;
    var open = document.querySelector("details[data-menu][open]");
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  });

  // Enter in a field that only asks for a part of the page, such as the row of a preview, does not send the form around it.
  document.addEventListener("keydown", function (event) {
    if (event.key === "Enter" && event.target.matches("input[hx-get]")) event.preventDefault();
  });

  // A button with data-once sends its form once, however often it is pressed.
  document.addEventListener("submit", function (event) {
    event.target.querySelectorAll("[data-once]").forEach(function (button) {
      window.setTimeout(function () { button.disabled = true; }, 0);
    });
  });
  window.addEventListener("pageshow", function () { // also when the browser goes back to a page that it kept
    document.querySelectorAll("[data-once]").forEach(function (button) { button.disabled = false; });
  });

  // A field with data-max counts its characters as a person does: an emoji with its modifiers is one.
  var segmenter = window.Intl && Intl.Segmenter ? new Intl.Segmenter() : null;
  function length(text) { return segmenter ? Array.from(segmenter.segment(text)).length : Array.from(text).length; }
  function counters(within) {
    within.querySelectorAll("[data-max]").forEach(function (input) {
      if (input.dataset.counted) return;
      input.dataset.counted = "1";
      var out = document.createElement("output");
      out.className = "counter";
      out.htmlFor = input.id;
      function show() {
        var n = length(input.value.trim()), max = Number(input.dataset.max);
        out.textContent = n + "/" + max;
        out.classList.toggle("over", n > max);
      }
      input.addEventListener("input", show);
      input.insertAdjacentElement("afterend", out);
      show();
    });
  }
  counters(document);
  document.addEventListener("htmx:load", function (event) { counters(event.target); });
})();
