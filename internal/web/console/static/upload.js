// A form with data-upload sends its file with a bar that shows how much of it was sent, and takes files that are dropped on it. Without
// this script it is a form like any other.
(function () {
  "use strict";

  function begin(form) {
    var file = form.querySelector("input[type=file]"), drop = form.querySelector("[data-drop]");
    var button = form.querySelector("[data-upload-go]"), line = form.querySelector("[data-upload-progress]");
    var bar = line.querySelector("progress"), said = line.querySelector("output");

    ["dragenter", "dragover"].forEach(function (name) {
      drop.addEventListener(name, function (event) { event.preventDefault(); drop.classList.add("over"); });
    });
    ["dragleave", "drop"].forEach(function (name) {
      drop.addEventListener(name, function (event) { event.preventDefault(); drop.classList.remove("over"); });
    });
    drop.addEventListener("drop", function (event) {
      if (event.dataTransfer && event.dataTransfer.files.length === 1) file.files = event.dataTransfer.files;
    });

    function end(text) {
      button.disabled = false;
      line.hidden = !text;
      bar.hidden = true;
      said.textContent = text || "";
    }

    // What the answer says of the form takes the place of what stands there; the file that was chosen stays chosen.
    function show(html) {
      var answer = new DOMParser().parseFromString(html, "text/html");
      var fields = answer.querySelector("[data-upload-fields]");
      if (fields) {
        form.querySelector("[data-upload-fields]").replaceWith(document.importNode(fields, true));
        var first = form.querySelector("[data-upload-fields] [role=alert], [data-upload-fields] .ask, [data-upload-fields] .is-wrong");
        if (first) first.scrollIntoView({ block: "nearest" });
        return;
      }
      var main = answer.querySelector("#main");
      if (main) document.querySelector("#main").replaceWith(document.importNode(main, true));
    }

    form.addEventListener("submit", function (event) {
      event.preventDefault();
      var request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.setRequestHeader("X-Minipush-Upload", "1");
      request.upload.addEventListener("progress", function (e) {
        if (!e.lengthComputable) return;
        bar.value = Math.floor(e.loaded * 100 / e.total);
        said.textContent = e.loaded < e.total ? bar.value + "%" : line.dataset.working;
      });
      request.addEventListener("load", function () {
        var to = request.getResponseHeader("X-Location");
        if (to) { window.location.assign(to); return; }
        end();
        show(request.responseText);
      });
      request.addEventListener("error", function () { end(line.dataset.broken); });
      bar.value = 0;
      bar.hidden = line.hidden = false;
      button.disabled = true;
      request.send(new FormData(form));
    });
  }
  document.querySelectorAll("form[data-upload]").forEach(begin);
})();
