/**
 * The stylesheet of all pages. It is served as it stands: there is no build.
 */

export const style = /* css */ `/* Colour is for states alone; what can be clicked is underlined or framed. A healthy docket is grey. */
:root{
 color-scheme:light dark;
 --paper:light-dark(#f5f4f0,#131416);
 --sheet:light-dark(#fff,#1b1d20);
 --sunk:light-dark(#eceae4,#272a2e);
 --rule:light-dark(#dcd9d0,#33373c);
 --edge:light-dark(#827e72,#80868e);
 --ink:light-dark(#1b1a17,#eeece7);
 --soft:light-dark(#57544b,#b0b4ba);
 --failed:light-dark(#b01c14,#ff958b);
 --failed-bg:light-dark(#fcebe8,#3a1e1c);
 --held:light-dark(#7d4a00,#f2b860);
 --held-bg:light-dark(#faeed6,#35290f);
 --running:light-dark(#1553b0,#92baff);
 --running-bg:light-dark(#e6effc,#1b2b45);
 --done:light-dark(#226b3b,#85d4a1);
 --mono:ui-monospace,"JetBrains Mono",Menlo,Consolas,monospace;
 font:400 .875rem/1.45 system-ui,"Segoe UI",Roboto,sans-serif;
 font-variant-numeric:tabular-nums;
 text-underline-offset:.2em;
 -webkit-text-size-adjust:100%;
}
:root:has(#theme-light:checked){color-scheme:light}
:root:has(#theme-dark:checked){color-scheme:dark}
*,::before,::after{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink)}
h1,h2,p,ul,ol,dl,dd,figure,pre,fieldset{margin:0;padding:0;border:0}
ul,ol{list-style:none}
h1,h2,.brand,.count,figcaption strong,.nav [aria-current],.chips [aria-current],.nav .bad,.lead>th{font-weight:650}
h1{font-size:1.5rem;line-height:1.25;max-width:60rem}
h2{font-size:1.125rem;line-height:1.3}
small,.small,th,.nav b,.brand span,.seg label{font-size:.875rem}
pre code{font-size:1em}
code,.key,pre,kbd{font-family:var(--mono);font-size:.9em;font-variant-ligatures:none}
h1,.key,.group h2,td.grow{overflow-wrap:anywhere}
@media(min-width:40rem){td a,td .key,th a{white-space:nowrap}}
.soft,.crumb,.live,.foot,.facts,dt,th,kbd,.nav b,.brand span{color:var(--soft)}
.num{text-align:right;white-space:nowrap}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
a{color:inherit;text-decoration:underline 1px var(--edge)}
a:hover{text-decoration:underline 2px currentColor}
:focus-visible{outline:2px solid var(--running);outline-offset:2px}
.skip{position:absolute;left:-99rem;padding:.5rem 1rem;background:var(--sheet);z-index:9}
.skip:focus{left:0}

/* Frame: one column; from 60rem on a rail and a page */
.rail{background:var(--sheet);border-bottom:1px solid var(--rule)}
.brand{display:flex;gap:.5rem;align-items:baseline;padding:.75rem 1rem .25rem}
.brand span{font-weight:400}
.nav{display:flex;overflow-x:auto;padding:0 .5rem}
.nav a{display:flex;gap:.5rem;justify-content:space-between;align-items:center;min-height:3.15rem;padding:0 .5rem;text-decoration:none;white-space:nowrap;border-bottom:3px solid transparent}
.nav a[aria-current]{border-color:var(--ink)}
.nav b:not(.bad){font-weight:400}
.nav .bad{color:var(--failed)}
main{padding:0 1rem 2rem;display:grid;gap:1.5rem;align-content:start;grid-template-columns:minmax(0,1fr)}
.foot{padding:1rem;display:grid;gap:.75rem;align-content:end}
.strip,.bar,.actions,.title,.chips,.facts,.notice,figcaption{display:flex;flex-wrap:wrap}
.strip{gap:.5rem 1rem;align-items:center;justify-content:space-between;padding:.75rem 0;border-bottom:1px solid var(--rule)}
.strip form[role=search]{flex:1 1 18rem;max-width:34rem}
.live{display:flex;gap:.75rem;align-items:center;white-space:nowrap}
.head{display:grid;gap:.5rem}
.bar,.actions{gap:.5rem;align-items:center}
.title{gap:.25rem 1rem;align-items:baseline;justify-content:space-between;margin-bottom:.5rem}
.cols{display:grid;gap:1.5rem;grid-template-columns:minmax(0,1fr)}
@media(min-width:60rem){
 body{display:grid;grid-template:1fr auto/12.5rem minmax(0,1fr);min-height:100vh}
 .rail{border:0;border-right:1px solid var(--rule);grid-area:1/1/3}
 .rail>div{position:sticky;top:0}
 .brand{padding:1rem 1rem .75rem;flex-direction:column;gap:0}
 .nav{flex-direction:column;padding:0}
 .nav a{min-height:2.25rem;padding:0 1rem 0 calc(1rem - 3px);border:0;border-left:3px solid transparent}
 main{grid-area:1/2/3;padding:0 2rem 4rem;max-width:102rem;width:100%}
 .foot{grid-area:2/1;position:sticky;bottom:0}
 .cols{grid-template-columns:repeat(2,minmax(0,1fr));gap:2rem}
 .cols.wide-left{grid-template-columns:minmax(0,3fr) minmax(0,2fr)}
}

/* Controls */
button,.button,input,select{font:inherit;color:inherit;min-height:2.25rem;border:1px solid var(--edge);border-radius:4px;background:var(--sheet);padding:0 .75rem}
button,.button{display:inline-flex;align-items:center;gap:.5rem;cursor:pointer;font-weight:550;text-decoration:none;white-space:nowrap}
button:hover,.button:hover,.nav a:hover,tbody tr:hover{background:var(--sunk);text-decoration:none}
.primary{background:var(--ink);border-color:var(--ink);color:var(--paper)}
.primary:hover{background:var(--soft)}
.danger{background:var(--failed);border-color:var(--failed);color:var(--sheet)}
.danger:hover{background:none;color:var(--failed)}
.quiet{border-color:transparent;background:none;padding:0 .5rem;text-decoration:underline 1px var(--edge)}
[type=search],[type=text]{width:100%}
.short{width:8rem}
[type=checkbox],[type=radio]{min-height:0;width:1rem;height:1rem;margin:0;accent-color:var(--ink);vertical-align:-.15em}
::placeholder{color:var(--soft);opacity:1}
.seg{display:flex;justify-self:start;border:1px solid var(--edge);border-radius:4px;overflow:clip}
.seg label{position:relative;padding:.25rem .75rem;cursor:pointer}
.seg input{position:absolute;inset:0;width:100%;height:100%;opacity:0}
.seg label:has(:checked){background:var(--ink);color:var(--paper);forced-color-adjust:none}
.seg label:has(:focus-visible){outline:2px solid var(--running);outline-offset:-3px}
.chips{gap:.5rem}
.chips a{display:inline-flex;gap:.5rem;align-items:center;min-height:2rem;padding:0 .75rem;border:1px solid var(--rule);border-radius:1rem;text-decoration:none;background:var(--sheet)}
.chips [aria-current]{border:2px solid var(--ink)}
button kbd{color:inherit}
kbd{border:1px solid var(--edge);border-radius:3px;padding:0 .3em}

/* A state: a shape, a word, and last of all a colour */
.st{display:inline-flex;gap:.45em;align-items:center;white-space:nowrap}
.st::before{content:"";flex:none;width:.8em;height:.8em;background:currentColor;color:var(--soft);forced-color-adjust:none}
.scheduled::before{background:none;border:1.5px dashed;border-radius:50%}
.queued::before{background:repeating-linear-gradient(currentColor 0 2px,transparent 2px 4.5px)}
.running::before{color:var(--running);clip-path:polygon(8% 0,100% 50%,8% 100%)}
.completed::before{color:var(--done);clip-path:polygon(14% 42%,0 58%,38% 98%,100% 18%,84% 4%,38% 66%)}
.failed::before{color:var(--failed);clip-path:polygon(18% 0,50% 32%,82% 0,100% 18%,68% 50%,100% 82%,82% 100%,50% 68%,18% 100%,0 82%,32% 50%,0 18%)}
.cancelled::before{clip-path:inset(38% 0)}
.held::before{color:var(--held);clip-path:polygon(8% 0,38% 0,38% 100%,62% 100%,62% 0,92% 0,92% 100%,8% 100%)}
.warning::before{color:var(--held);clip-path:polygon(50% 4%,100% 96%,0 96%)}
.st.failed,.st.problem{color:var(--failed);font-weight:600}
.problem::before{color:var(--failed);border-radius:50%}
.st.warning,.st.held{color:var(--held);font-weight:600}
.st.running{color:var(--running)}

/* Sheets, tables */
.sheet{background:var(--sheet);border:1px solid var(--rule);border-radius:6px;overflow:clip}
.pad{padding:1rem}
.scroll{overflow-x:auto;position:relative}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:500;white-space:nowrap}
th.num{text-align:right}
th,td{padding:.4375rem .5rem;border-bottom:1px solid var(--rule);vertical-align:baseline}
th:first-child,td:first-child{padding-left:1rem}
th:last-child,td:last-child{padding-right:1rem}
tbody tr:last-child>*{border-bottom:0}
tbody th{color:inherit;font-size:inherit}
tbody tr:not(.lead) th{font-weight:550}
tr:has(:checked){background:var(--running-bg)}
th .st{margin-left:.4em}
td .quiet{min-height:1.5rem;padding:0}
tr.with>*{border-bottom:0;padding-bottom:0}
tbody + tbody{border-top:1px solid var(--rule)}
.lead>th{background:var(--sunk);white-space:normal}
.lead .soft{font-weight:400}
.lead .title{margin:0;align-items:center}
td progress{max-width:16rem}
.words{display:block;font-weight:400;white-space:normal}
.words code{white-space:nowrap}
.wrap,td.grow{width:99%;min-width:7rem;white-space:normal}
.p2,.p3{display:none}
@media(max-width:39.99rem){tbody th .st{display:flex;margin:0} .chips{flex-wrap:nowrap;overflow-x:auto} .chips a{flex:none}}
@media(min-width:40rem){td.p2,th.p2{display:table-cell} .p2:not(td,th){display:inline}}
@media(min-width:72rem){td.p3,th.p3{display:table-cell} span.p3{display:inline}}

/* What needs attention */
.todo>li{display:grid;gap:.25rem 1rem;padding:.75rem 1rem;border-left:4px solid var(--held);border-bottom:1px solid var(--rule)}
.todo>li:last-child{border-bottom:0}
.todo>.problem,.say.failed{border-left-color:var(--failed);background:var(--failed-bg)}
.todo p:first-of-type{font-weight:600}
.facts{gap:.25rem 1.5rem}
.notice{gap:.5rem 1rem;align-items:center;padding:.5rem 1rem;background:var(--ink);color:var(--paper);border-radius:6px}
.notice button{background:none;border-color:currentColor}
.notice button:hover{background:var(--paper);color:var(--ink)}
.say{padding:.75rem 1rem;border-left:4px solid}
.say.held{border-color:var(--held);background:var(--held-bg)}
.say.running{border-color:var(--running);background:var(--running-bg)}
.empty{padding:1.5rem 1rem;display:grid;gap:.75rem;justify-items:start;max-width:44rem}

/* Charts: the server draws them, the colour comes from here */
.charts{display:grid;gap:1px;background:var(--rule);grid-template-columns:repeat(auto-fit,minmax(15.5rem,1fr))}
.charts>figure{background:var(--sheet);padding:.75rem 1rem}
figcaption{gap:0 .5rem;align-items:baseline}
figcaption span:first-child{width:100%}
.count,figcaption strong{font-size:1.5rem;line-height:1.3}
svg{display:block;color:var(--soft);fill:currentColor}
td svg{display:inline-block;vertical-align:middle}
svg text{font-size:12px;fill:var(--soft)}
.chart{width:100%;height:8.5rem;overflow:visible}
.grid{stroke:var(--rule)}
.event{stroke:var(--held);stroke-dasharray:3 3}
text.event{stroke:none;fill:var(--held)}
.f-bad{fill:var(--failed);color:var(--failed)}
.f-run{fill:var(--running)}
.f-done{fill:var(--done)}
.f-soft{fill:var(--edge)}
.line{fill:none;stroke:var(--ink);stroke-width:1.75;vector-effect:non-scaling-stroke}
.line.dash{stroke-dasharray:5 3;stroke:var(--soft)}
.hollow{fill:none;stroke:var(--edge)}
progress,meter{appearance:none;width:100%;height:.5rem;border:0;border-radius:2px;background:var(--sunk);overflow:hidden;display:block}
::-webkit-progress-bar,::-webkit-meter-bar{background:var(--sunk);border:0;border-radius:0;height:.5rem}
::-webkit-progress-value{background:var(--running)}
::-moz-progress-bar{background:var(--running)}
::-moz-meter-bar{background:var(--edge)}
:-moz-meter-sub-optimum::-moz-meter-bar{background:var(--held)}
::-webkit-meter-optimum-value{background:var(--edge)}
::-webkit-meter-suboptimum-value,::-webkit-meter-even-less-good-value{background:var(--held)}
td meter{width:5rem;display:inline-block;vertical-align:.05em;margin-left:.5rem}

/* The path of states: a row, on a phone a column */
.path li{position:relative;padding:0 0 1rem 1.75rem}
.path li::after{content:"";position:absolute;left:.45rem;top:1.5rem;bottom:.15rem;border:0 solid var(--edge);border-left-width:2px}
.path .now::after,.path .later::after{border-style:dashed}
.path li:last-child::after{display:none}
.path .st{font-weight:600}
.path .st::before{position:absolute;left:0;top:.1rem;width:1rem;height:1rem}
.path .later,.path .later .st{color:var(--soft);font-weight:400}
.path .later .st::before{color:var(--edge)}
.path .now>.st{background:var(--running-bg);padding:0 .4em;margin-left:-.4em;border-radius:3px}
.path .now>.held{background:var(--held-bg)}
@media(min-width:48rem){
 .todo>li{grid-template-columns:6rem minmax(0,1fr) auto;align-items:center}
 .path{display:grid;grid-auto-flow:column;grid-auto-columns:minmax(7rem,1fr)}
 .path li{padding:1.75rem .75rem 0 0}
 .path li::after{left:1.5rem;right:.5rem;top:.5rem;bottom:auto;border-width:2px 0 0}
}
.facts-list{display:grid;align-content:start;grid-template-columns:max-content minmax(0,1fr);gap:.25rem 1rem}
.json{padding:1rem;overflow-x:auto;line-height:1.55}
.redacted{background:var(--sunk);color:var(--soft);border-radius:2px;padding:0 .4em;font-style:italic}
.group{padding:.75rem 1rem;border-bottom:1px solid var(--rule);display:grid;gap:.5rem 1rem}
.group:last-child{border:0}
.group h2{font-family:var(--mono);font-size:1rem}
@media(min-width:60rem){.group{grid-template-columns:2.5rem minmax(0,1fr) 8rem 12rem;align-items:start} .group .full{grid-column:2/-1}}

/* Bulk bar: counts what is ticked without a script */
.bulk-form{counter-reset:ticked}
.bulk-form tbody :checked{counter-increment:ticked}
.bulk{position:sticky;bottom:0;border-top:1px solid var(--edge);background:var(--sheet);padding:.5rem 1rem}
.bulk .ticked::before{content:counter(ticked) " selected"}
.graph{max-width:68rem;min-width:62rem;width:100%;height:auto}
.graph text{fill:var(--ink);font-size:13px}
.graph .sub{fill:var(--soft);font-size:12px}
.node{fill:var(--sheet);stroke:var(--edge)}
.node.wait{stroke-dasharray:4 3}
.node.hot{fill:var(--held-bg)}
.edge{fill:none;stroke:var(--edge);stroke-width:1.5}
.edge.hot,.node.hot{stroke:var(--held);stroke-width:3}
.graph a{text-decoration:none}
.graph a:hover .node{stroke:var(--ink)}
.graph .hollow{stroke-dasharray:3 2}
.graph .b,.graph .tag{font-weight:650}
.graph .tag{fill:var(--held)}
.ghost{display:block;height:1em;border-radius:3px;background:var(--sunk);animation:breathe 1.6s ease-in-out infinite alternate}
.tall{height:6.5rem}
@keyframes breathe{to{opacity:.45}}
@media(prefers-reduced-motion:reduce){*,::before,::after{animation:none!important;transition:none!important}}
@media(pointer:coarse){button,.button,select,[type=search],[type=text]{min-height:3.15rem} [type=search],[type=text]{font-size:16px} .chips a{min-height:2.75rem} button kbd{display:none}}
/* What the mocks have no need of */
td .key,th .key{display:inline-block;max-width:min(22rem,60vw);overflow:hidden;text-overflow:ellipsis;vertical-align:bottom;white-space:nowrap}
@media(min-width:60rem){.group{grid-template-columns:2.5rem minmax(0,1fr) 8.75rem max-content}}
main:focus{outline:0}
[hidden]{display:none!important}
textarea{font:inherit;font-family:var(--mono);font-size:.9em;color:inherit;border:1px solid var(--edge);border-radius:4px;background:var(--sheet);padding:.5rem .75rem;width:100%;min-height:9rem}
.form{display:grid;gap:.75rem;max-width:44rem;padding:1.5rem 1rem}
.form label{font-weight:550}
.form .field{display:grid;gap:.25rem}
.form [type=number],.form [type=text]{max-width:24rem;width:100%}
[type=number]{width:8rem}
.count-bad{color:var(--failed)}
pre.plain{padding:.75rem 1rem;overflow-x:auto}
summary{cursor:pointer}
.nowrap{white-space:nowrap}
tr.current{outline:2px solid var(--running);outline-offset:-2px}
.agenda{height:auto}
@media print{.rail,.foot,.strip,.bulk,.actions{display:none}body{display:block}}
`
